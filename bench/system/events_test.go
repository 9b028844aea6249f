package system

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestBatches_HoldAHundredEach(t *testing.T) {
	t.Parallel()
	batches := Batches(rig.NewMessages(250, "test", "", time.Time{}))
	require.Len(t, batches, 3)
	require.Len(t, batches[2], 50)
	require.Equal(t, "test-100 and 99 more", batches[1].String())
}

func TestEvents_HaveTheMessagesIDsOrPostdates(t *testing.T) {
	t.Parallel()
	for named, id := range map[bool]any{true: "mine", false: nil} {
		p, got := answering(t, http.StatusAccepted, `{"id": "evt_1"}`)
		m := &rig.Message{ID: "mine", Entity: "customer_1"}
		require.NoError(t, Events{p, "a.b", named}.Publish(t.Context(), m))
		require.Equal(t, "POST /v1/events", got.line)
		require.Equal(t, id, got.body["id"])
		require.Equal(t, "a.b", got.body["type"])
		require.Equal(t, "evt_1", m.ID, "what is answered is what the receiver gets")
	}
}

func TestPublishBatch_GivesEachMessageTheIDThatItsEventGot(t *testing.T) {
	t.Parallel()
	p, got := answering(t, http.StatusAccepted, `{"data": [{"id": "evt_1"}, {"id": "evt_2"}]}`)
	messages := rig.NewMessages(2, "test", "", time.Time{})
	require.NoError(t, Events{Postdate: p, Type: "a.b"}.PublishBatch(t.Context(), messages))
	require.Equal(t, "POST /v1/events/batch", got.line)
	require.NotContains(t, got.body["events"].([]any)[0], "id")
	require.Equal(t, "evt_1", messages[0].ID)
	require.Equal(t, "evt_2", messages[1].ID)
	require.False(t, messages[1].Accepted.Before(messages[1].Sent))
	require.ErrorContains(t, Events{Postdate: p}.PublishBatch(t.Context(), messages[:1]), "2 events were answered for 1")
}

func TestPublishBatch_NamesTheEventThatWasRefused(t *testing.T) {
	t.Parallel()
	p, _ := answering(t, http.StatusAccepted, `{"data": [{"id": "evt_1"}, {"error": {"code": "invalid", "detail": "no type"}}]}`)
	err := Events{Postdate: p}.PublishBatch(t.Context(), rig.NewMessages(2, "test", "", time.Time{}))
	require.ErrorContains(t, err, "event 1 was refused: no type")
}
