package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// A receiver may put a message off at its own pace for a thousand attempts, and from then on
// by an hour at least: "postdate-reschedule: 1s" for ever is an attempt an hour.
func TestSend_SpacesOutWhatItsReceiverPutsOffForEver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bound, number int
		asked, until  time.Duration
		says          string
	}{
		"seldom":               {1000, 1000, time.Second, time.Second, ""},
		"too often":            {1000, 1001, time.Second, time.Hour, "postdate-reschedule asked for 2026-11-23T09:00:01Z: after 1000 attempts at one message they are an hour apart at least"},
		"too often, and later": {1000, 1001, 2 * time.Hour, 2 * time.Hour, ""},
		"without a bound":      {0, 1_000_000, time.Second, time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t)
			f.activities.MaxReschedules = test.bound
			f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
				return postdate.Attempt{At: now, Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: now.Add(test.asked)}, nil
			}
			s := task(postdate.Destination{URL: "https://b.example/hooks"})
			s.Number = test.number
			made := f.send(s)
			require.Equal(t, postdate.Rescheduled, made.Outcome)
			require.Equal(t, now.Add(test.until), made.RescheduleTo)
			require.Equal(t, test.says, made.Error)
		})
	}
}
