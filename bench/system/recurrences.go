package system

import (
	"context"
	"net/http"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Recurring publishes recurring schedules, which are due at one instant and again and again
// after that. Each tick is a message of its own.
type Recurring struct {
	*Postdate

	First time.Time
	Every time.Duration
	Ticks int
}

type recurring struct {
	schedule

	Recurrence recurrence `json:"recurrence"`
}

type recurrence struct {
	Every   string    `json:"every"`
	StartAt time.Time `json:"start_at"`
	Limit   int       `json:"limit"`
}

// Publish makes a recurring schedule with the id of the message.
func (p Recurring) Publish(ctx context.Context, m *rig.Message) error {
	in := recurring{
		schedule:   schedule{ID: m.ID, Entity: m.Entity, Type: "payment_request.due", Data: payload, To: destination{m.URL}},
		Recurrence: recurrence{Every: p.Every.String(), StartAt: p.First.UTC(), Limit: p.Ticks},
	}
	return p.call(ctx, http.MethodPost, "/v1/schedules", in, http.StatusCreated, nil)
}

// Due are the messages of all ticks of the recurring schedules that were published under
// the ids of messages.
func (p Recurring) Due(messages []*rig.Message) []*rig.Message {
	ticks := make([]*rig.Message, 0, len(messages)*p.Ticks)
	for n := range p.Ticks {
		due := p.First.Add(time.Duration(n) * p.Every)
		for _, m := range messages {
			tick := *m
			tick.ID, tick.Due = m.ID+"@"+due.UTC().Format(time.RFC3339), due
			ticks = append(ticks, &tick)
		}
	}
	return ticks
}
