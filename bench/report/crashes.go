package report

import (
	"fmt"
	"io"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Crashes is of a process that is killed and started again, under several loads at once.
type Crashes struct {
	Kills int `json:"kills"`
	// DownMS are the times from a kill until the process is ready again.
	DownMS *Quantiles `json:"crash_down_ms"`
	// LatenessMS is of what was under way at a crash in all loads, from the crash on.
	LatenessMS *Quantiles    `json:"crash_lateness_ms"`
	Loads      []CrashedLoad `json:"crash_loads"`
	// RepeatedPart is how many of all messages were sent again without need.
	RepeatedPart float64 `json:"crash_repeated_part"`
}

// CrashedLoad is of one of the loads.
type CrashedLoad struct {
	Name     string `json:"load"`
	Messages int    `json:"messages"`
	// UnderWay is how many were accepted and due at a crash, and not yet taken by their
	// receiver; LatenessMS are the times from the crash until it took them.
	UnderWay   int        `json:"under_way"`
	LatenessMS *Quantiles `json:"lateness_ms,omitempty"`
	Repeated   int        `json:"repeated"`

	lateness []time.Duration
}

// CrashedLoadOf is of a load's messages, of which so many were sent again without need.
func CrashedLoadOf(name string, messages []*rig.Message, crashes []time.Time, repeated int) CrashedLoad {
	load := CrashedLoad{Name: name, Messages: len(messages), Repeated: repeated}
	for _, m := range messages {
		for _, crash := range crashes {
			if m.Accepted.Before(crash) && m.Due.Before(crash) && m.Received.After(crash) {
				load.lateness = append(load.lateness, m.Received.Sub(crash))
				break // at a further one it was late already
			}
		}
	}
	load.UnderWay, load.LatenessMS = len(load.lateness), QuantilesOf(load.lateness)
	return load
}

// CrashesOf is of all loads, and of how long the process was away at each crash.
func CrashesOf(down []time.Duration, loads []CrashedLoad) *Crashes {
	c := &Crashes{Kills: len(down), DownMS: QuantilesOf(down), Loads: loads}
	var lateness []time.Duration
	messages, repeated := 0, 0
	for _, load := range loads {
		lateness = append(lateness, load.lateness...)
		messages += load.Messages
		repeated += load.Repeated
	}
	c.LatenessMS = QuantilesOf(lateness)
	c.RepeatedPart = float64(repeated) / float64(max(messages, 1))
	return c
}

func (c *Crashes) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: killed %d times; ready again after %.0f ms p50, %.0f ms max\n", r.Scenario, r.System, c.Kills, c.DownMS.P50, c.DownMS.Max)
	for _, load := range c.Loads {
		fmt.Fprintf(w, "  %s: %d messages, %d sent again; %d under way at a crash", load.Name, load.Messages, load.Repeated, load.UnderWay)
		if q := load.LatenessMS; q != nil {
			fmt.Fprintf(w, ", taken after %.0f ms p50, %.0f ms p99, %.0f ms max", q.P50, q.P99, q.Max)
		}
		fmt.Fprintln(w)
	}
}
