// Package burst finds the rate at which one tenant's burst is let go: as many executions
// per second as the workers were seen to begin in time.
package burst

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

const (
	// First is the rate before anything is known.
	First = 250
	// least is the rate below which no burst is slowed down, however late the workers are.
	least = 50

	// What begins within inTime shows that the workers can do as much, and what begins after
	// tooLate that they cannot. In between nothing changes.
	inTime, tooLate = 300 * time.Millisecond, time.Second
	// What was in time may be a quarter more next time, and what was too late is a tenth less.
	// Both are parts of the rate that was seen, and not of the one that holds now: however
	// often the same rate is seen, the result is the same.
	faster, slower = 1.25, 0.9

	// Samples are gathered for gatherFor at least, until there are minSamples: fewer say
	// nothing. Those that are alone for forgetAfter are dropped.
	gatherFor, forgetAfter = time.Second, 10 * time.Second
	minSamples             = 10
)

// Config is what a [Rate] needs.
type Config struct {
	// Max is the upper bound. 0: bursts are not spread out, and the rate stays 0.
	Max int
	// First is the rate before anything is known, where it is less than Max. Default [First].
	First int
	// Meter measures the rate. Nothing is measured where it is nil.
	Meter metric.Meter
	Now   func() time.Time
}

// Rate is the rate at which one tenant's burst is let go. It is safe for concurrent use.
type Rate struct {
	max int
	now func() time.Time

	mu        sync.Mutex
	perSecond int
	since     time.Time // of the first of the samples
	samples   []sample
}

// sample is how late an execution began, and at which rate those before it were let go.
type sample struct {
	perSecond int
	late      time.Duration
}

// New returns a rate of which nothing is known yet.
func New(c Config) (*Rate, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Rate{max: c.Max, now: c.Now, perSecond: min(cmp.Or(c.First, First), c.Max)}
	if err := r.measure(c.Meter); err != nil {
		return nil, err
	}
	return r, nil
}

// PerSecond is how many executions of a burst are to be let go per second now. 0: all of
// them at once.
func (r *Rate) PerSecond() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evaluate()
	return r.perSecond
}

// Observe takes in how late an execution began, of a burst of which so many were let go per
// second.
func (r *Rate) Observe(perSecond int, late time.Duration) {
	if r.max == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evaluate()
	if len(r.samples) == 0 {
		r.since = r.now()
	}
	r.samples = append(r.samples, sample{perSecond, late})
}

// evaluate changes the rate by the samples, once they are enough.
func (r *Rate) evaluate() {
	age := r.now().Sub(r.since)
	switch enough := len(r.samples) >= minSamples; {
	case enough && age >= gatherFor:
		r.adapt()
		r.samples = nil
	case !enough && age >= forgetAfter:
		r.samples = nil
	}
}

// adapt changes the rate by the medians of the samples.
func (r *Rate) adapt() {
	seen := float64(median(r.samples, func(s sample) int { return s.perSecond }))
	switch late := median(r.samples, func(s sample) time.Duration { return s.late }); {
	case late <= inTime:
		r.perSecond = max(r.perSecond, int(seen*faster))
	case late > tooLate:
		r.perSecond = min(r.perSecond, int(seen*slower))
	}
	r.perSecond = min(max(r.perSecond, least), r.max)
}

// median is the median of a value of samples.
func median[V cmp.Ordered](samples []sample, of func(sample) V) V {
	values := make([]V, len(samples))
	for n, s := range samples {
		values[n] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// rateMetric is the name of the metric.
const rateMetric = "postdate_tenant_burst_per_second"

// measure registers the metric.
func (r *Rate) measure(meter metric.Meter) error {
	if meter == nil {
		return nil
	}
	_, err := meter.Int64ObservableGauge(rateMetric,
		metric.WithDescription("How many executions of one tenant's burst this process has start per second. 0: all of them at once."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(r.PerSecond()))
			return nil
		}))
	if err != nil {
		return fmt.Errorf("metric %s: %w", rateMetric, err)
	}
	return nil
}
