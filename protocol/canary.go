package protocol

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/postdate/postdate"
)

// UpdateChangeCanary is an Update that Tenant takes: it takes a [ChangeCanary] and returns a
// [TenantChanged].
const UpdateChangeCanary = "change_canary"

// SignalCanary reports what came of attempts at both sides of an endpoint that has a canary.
// It carries a [CanaryReport].
const SignalCanary = "canary"

// The names of the activities of canaries.
const (
	// SignalEndpointActivity signals to an Endpoint and to its canary's what is configured
	// now. It takes a [CanaryRef].
	SignalEndpointActivity = "SignalEndpoint"
	// ChangeCanaryActivity changes a canary. It takes an [EndpointCanaryChange] and returns
	// the [EndpointSettings] after it.
	ChangeCanaryActivity = "ChangeCanary"
)

// CanaryAction is what is done with a canary.
type CanaryAction string

// The actions.
const (
	CanaryPromote  CanaryAction = "promote"  // its url becomes the endpoint's
	CanaryHold     CanaryAction = "hold"     // its plan goes no further
	CanaryRollback CanaryAction = "rollback" // all goes to the primary again
	CanaryAdvance  CanaryAction = "advance"  // to the next step of its plan
)

// ChangeCanary does something with the canary of an endpoint.
type ChangeCanary struct {
	ID string `json:"id"` // of the endpoint
	// Canary is the id of the canary that is meant. Where the endpoint has another one by
	// now, nothing is changed. Empty: whichever it has.
	Canary string       `json:"canary,omitempty"`
	Action CanaryAction `json:"action"`
	// Step is the place of the step to which it advances.
	Step int `json:"step,omitempty"`
	// StepAt is when the step began in which that was decided. Where another one has begun
	// since, nothing is changed. Zero: whichever it is.
	StepAt time.Time `json:"step_at,omitzero"`
	// Auto: nobody asked for it, so that the operator is to know.
	Auto   bool   `json:"auto,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// EndpointCanaryChange is a [ChangeCanary] of a tenant.
type EndpointCanaryChange struct {
	Tenant string       `json:"tenant"`
	Change ChangeCanary `json:"change"`
}

// CanaryRef names an endpoint of a tenant, and its canary.
type CanaryRef struct {
	Tenant   string `json:"tenant,omitempty"`
	Endpoint string `json:"endpoint"`
	Canary   string `json:"canary"`
}

// CanaryReport is what one worker saw of both sides over the same time.
type CanaryReport struct {
	Settings EndpointSettings `json:"settings"`
	Canary   string           `json:"canary"` // its id
	CanaryCounts
}

// CanaryCounts count the attempts at both sides.
type CanaryCounts struct {
	Primary  SideCounts `json:"primary,omitzero"`
	AtCanary SideCounts `json:"at_canary,omitzero"`
}

// Add is c with the counts of more attempts.
func (c CanaryCounts) Add(more CanaryCounts) CanaryCounts {
	return CanaryCounts{Primary: c.Primary.Add(more.Primary), AtCanary: c.AtCanary.Add(more.AtCanary)}
}

// SideCounts count the attempts at one side. What no permit came for is none.
type SideCounts struct {
	Attempts  int `json:"attempts,omitempty"`
	Succeeded int `json:"succeeded,omitempty"`
	// Trailing are the failures since the last success.
	Trailing int `json:"trailing,omitempty"`
	// Answers are the attempts by class of answer, and Latency by how long they took: see
	// [latencyBucket].
	Answers map[string]int `json:"answers,omitempty"`
	Latency map[int]int    `json:"latency,omitempty"`
}

// Count is c with one attempt more.
func (c SideCounts) Count(attempt postdate.Attempt) SideCounts {
	one := SideCounts{
		Attempts: 1, Trailing: 1,
		Answers: map[string]int{answerClass(attempt.Status): 1}, Latency: map[int]int{latencyBucket(attempt.DurationMS): 1},
	}
	if attempt.Outcome == postdate.Accepted || attempt.Outcome == postdate.Rescheduled {
		one.Succeeded, one.Trailing = 1, 0
	}
	return c.Add(one)
}

// Add is c with the counts of attempts that came after.
func (c SideCounts) Add(later SideCounts) SideCounts {
	sum := SideCounts{
		Attempts: c.Attempts + later.Attempts, Succeeded: c.Succeeded + later.Succeeded, Trailing: later.Trailing,
		Answers: addCounts(c.Answers, later.Answers), Latency: addCounts(c.Latency, later.Latency),
	}
	if later.Succeeded == 0 {
		sum.Trailing += c.Trailing
	}
	return sum
}

func addCounts[K comparable](a, b map[K]int) map[K]int {
	if len(a)+len(b) == 0 {
		return nil
	}
	sum := maps.Clone(a)
	if sum == nil {
		sum = make(map[K]int, len(b))
	}
	//workflowcheck:ignore the sum is the same in any order
	for key, n := range b {
		sum[key] += n
	}
	return sum
}

// answerClass is the class of a status: "none" of an attempt that got no answer.
func answerClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// bucketsPerDouble is how many latency buckets there are from a duration to its double: a
// duration is known to within a tenth.
const bucketsPerDouble = 4

// latencyBucket is the place of a duration in milliseconds among the buckets of latency.
func latencyBucket(ms int64) int {
	return int(math.Round(bucketsPerDouble * math.Log2(float64(max(1, ms)))))
}

// Quantile is about the duration in milliseconds that the q-th part of the attempts did not
// exceed: nil where there were none.
func (c SideCounts) Quantile(q float64) *float64 {
	if c.Attempts == 0 {
		return nil
	}
	rank, last := int(math.Ceil(q*float64(c.Attempts))), 0
	//workflowcheck:ignore the greatest is the same in any order
	for bucket := range c.Latency {
		last = max(last, bucket)
	}
	for bucket := 0; bucket < last; bucket++ {
		if rank -= c.Latency[bucket]; rank <= 0 {
			last = bucket
		}
	}
	ms := math.Round(10*math.Exp2(float64(last)/bucketsPerDouble)) / 10
	return &ms
}

// Ratio is the part of the attempts that succeeded: 0 where there were none.
func (c SideCounts) Ratio() float64 {
	if c.Attempts == 0 {
		return 0
	}
	return float64(c.Succeeded) / float64(c.Attempts)
}

// Side is c as health shows it.
func (c SideCounts) Side() postdate.CanarySide {
	side := postdate.CanarySide{
		Attempts: c.Attempts, Succeeded: c.Succeeded, P50MS: c.Quantile(0.5), P99MS: c.Quantile(0.99), Answers: addCounts(nil, c.Answers),
	}
	if side.Answers == nil {
		side.Answers = map[string]int{}
	}
	if c.Attempts > 0 {
		ratio := c.Ratio()
		side.SuccessRatio = &ratio
	}
	return side
}

// CanaryRun is what an Endpoint knows of its canary.
type CanaryRun struct {
	ID     string    `json:"id"`
	StepAt time.Time `json:"step_at"` // of the step that is counted
	// Recent are the attempts since RecentAt, and Earlier those of the time before, since
	// EarlierAt: zero where there is none.
	Recent    CanaryCounts `json:"recent,omitzero"`
	RecentAt  time.Time    `json:"recent_at"`
	Earlier   CanaryCounts `json:"earlier,omitzero"`
	EarlierAt time.Time    `json:"earlier_at,omitzero"`
	// Total is how many attempts the canary has had in all.
	Total int `json:"total,omitempty"`
	// Trailing is how many of them failed since the last success, and FailingSince when the
	// first of these was reported.
	Trailing     int       `json:"trailing,omitempty"`
	FailingSince time.Time `json:"failing_since,omitzero"`
}

// Counts are the attempts that both sides are compared by, and since when they are counted.
func (r CanaryRun) Counts() (CanaryCounts, time.Time) {
	if r.EarlierAt.IsZero() {
		return r.Recent, r.RecentAt
	}
	return r.Earlier.Add(r.Recent), r.EarlierAt
}

// TookOf is the side that the last attempt of a round took, which began after so many
// attempts: see [postdate.Endpoint.Side]. Empty: none of it was made yet.
func TookOf(log postdate.Attempts, before int) string {
	switch {
	case len(log) == 0 || log.Next()-1 <= before:
		return ""
	case log.Last().Canary == "":
		return postdate.TookPrimary
	}
	return log.Last().Canary
}

// A canary of which nothing succeeds is soon sent probes alone, and would hardly ever have
// the attempts that it is to be judged by. So it is worse too once deadAfter attempts have
// failed in a row, and for deadTime.
const (
	deadAfter = 8
	deadTime  = 30 * time.Second
)

// DeadAt is when the canary will have failed for so long, if nothing succeeds before: zero
// where it has not failed so often.
func (r CanaryRun) DeadAt() time.Time {
	if r.Trailing < deadAfter {
		return time.Time{}
	}
	return r.FailingSince.Add(deadTime)
}

// Worse says why the canary is to be rolled back: empty where it is not. It compares what
// both sides answered over the same time, so that a failure of both says nothing.
func (r CanaryRun) Worse(rollback *postdate.AutoRollback, now time.Time) string {
	counts, _ := r.Counts()
	primary, canary := counts.Primary, counts.AtCanary
	if rollback == nil || primary.Attempts < rollback.Minimum {
		return ""
	}
	dead := !r.DeadAt().IsZero() && !now.Before(r.DeadAt())
	if canary.Attempts < rollback.Minimum && !dead || canary.Attempts == 0 {
		return ""
	}
	const rounding = 1e-9
	if 100*(primary.Ratio()-canary.Ratio()) <= rollback.Margin+rounding {
		return ""
	}
	return fmt.Sprintf("%.1f %% of %d attempts at the canary succeeded, and %.1f %% of %d at the primary: more than %g percentage points less",
		100*canary.Ratio(), canary.Attempts, 100*primary.Ratio(), primary.Attempts, rollback.Margin)
}
