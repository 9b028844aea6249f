package report

import (
	"fmt"
	"io"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Inbound is of webhooks that a source takes in, for a receiver that cannot keep up.
type Inbound struct {
	InboundMessages int `json:"inbound_messages"`

	// Of a stream at a fixed pace: how long an answer takes. Named webhooks have an id, by
	// which the source deduplicates.
	Named   InboundLoad `json:"inbound_named"`
	Unnamed InboundLoad `json:"inbound_unnamed"`
	// Events are unnamed events, by the API.
	Events InboundLoad `json:"inbound_events"`
	// NamedSlower are named webhooks at lower paces.
	NamedSlower []InboundLoad `json:"inbound_named_slower"`
}

// InboundLoad is one way to hand messages over.
type InboundLoad struct {
	Messages int `json:"messages"`
	// PerS is the pace of the stream.
	PerS     float64    `json:"per_s"`
	AnswerMS *Quantiles `json:"answer_ms"`
	// AcceptedPerS is as fast as they are accepted. 0: not measured at that pace.
	AcceptedPerS float64 `json:"accepted_per_s,omitempty"`
}

// InboundLoadOf is of a stream at a fixed pace, and of messages as fast as they are accepted.
func InboundLoadOf(interval time.Duration, stream, burst []*rig.Message) InboundLoad {
	answers := make([]time.Duration, len(stream))
	for i, m := range stream {
		answers[i] = m.Accepted.Sub(m.Sent)
	}
	load := InboundLoad{Messages: len(stream) + len(burst), PerS: 1 / interval.Seconds(), AnswerMS: QuantilesOf(answers)}
	if len(burst) > 0 {
		first, accepted, _ := (&Measured{Messages: burst}).span()
		load.AcceptedPerS = PerSecond(len(burst), accepted.Sub(first))
	}
	return load
}

func (i *Inbound) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: webhooks for a receiver that cannot keep up\n", r.Scenario, r.System)
	for _, load := range []struct {
		name string
		InboundLoad
	}{{"with ids", i.Named}, {"without ids", i.Unnamed}, {"events without ids, by the API", i.Events}} {
		fmt.Fprintf(w, "  %s: answered in %.0f ms p50, %.0f ms p99 at %.0f/s; %.0f/s accepted at most\n",
			load.name, load.AnswerMS.P50, load.AnswerMS.P99, load.PerS, load.AcceptedPerS)
	}
	for _, load := range i.NamedSlower {
		fmt.Fprintf(w, "  with ids: answered in %.0f ms p50, %.0f ms p99 at %.0f/s\n", load.AnswerMS.P50, load.AnswerMS.P99, load.PerS)
	}
}
