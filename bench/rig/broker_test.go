package rig

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestBrokers_StoreWhatIsWrittenAndNoteWhatComes(t *testing.T) {
	t.Parallel()
	k, err := StartKafka()
	require.NoError(t, err)
	t.Cleanup(k.Stop)
	n, err := StartNATS(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(n.Stop)
	for name, publish := range map[string]struct {
		to  Broker
		out func(id string) error
	}{
		"kafka": {k, func(id string) error {
			return k.writer.ProduceSync(t.Context(), &kgo.Record{Topic: TopicOut, Value: []byte(id)}).FirstErr()
		}},
		"nats": {n, func(id string) error {
			_, err := n.js.Publish(t.Context(), TopicOut, []byte(id))
			return err
		}},
	} {
		require.NoError(t, publish.to.Write(t.Context(), Record{Body: []byte("1")}, Record{Headers: map[string]string{"x-own": "kept"}}), name)
		topic, err := ReadTopic(t.Context(), publish.to, func(r Record) string { return string(r.Body) })
		require.NoError(t, err, name)
		messages := NewMessages(2, name, "", time.Time{})
		for _, m := range messages {
			require.NoError(t, publish.out(m.ID), name)
		}
		require.NoError(t, topic.Wait(t.Context(), len(messages), time.Now()), name)
		require.NoError(t, topic.Note(messages), name)
		require.Equal(t, 1, messages[0].Copies, name)
	}
	stream, err := n.js.Stream(t.Context(), TopicIn)
	require.NoError(t, err)
	require.EqualValues(t, 2, stream.CachedInfo().State.Msgs)
}
