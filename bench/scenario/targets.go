package scenario

import (
	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/system"
)

// Targets are what the scenarios are asked to show.
func Targets() []report.Target {
	const sqlite = system.PostdateSQLite
	return append([]report.Target{
		target("immediate", "times the naive program, at least 5", on(sqlite, toNaive), report.AtLeast(5)),
		target("immediate", "times the naive program, both on PostgreSQL, at least 4", on(system.PostdatePostgres, toNaive), report.AtLeast(4)),
		target("immediate", "of the engine's floor, at least 0.85", on(sqlite, toFloor), report.AtLeast(0.85)),
		target("unnamed_1", "delivered/s, at least 2000", on(sqlite, delivered), report.AtLeast(2000)),
		target("batch", "delivered/s, at least 5000", on(sqlite, delivered), report.AtLeast(5000)),
		target("steady", "receipt p50 in ms, at most 15", on(sqlite, receipt(report.P50)), report.AtMost(15)),
		target("steady", "receipt p99 in ms, at most 50", on(sqlite, receipt(report.P99)), report.AtMost(50)),
		target("steady", "lateness p99 in ms, at most 100", on(sqlite, lateness(report.P99)), report.AtMost(100)),
		target("due_in_2s", "the latest message in ms, at most 250", on(sqlite, lateness(report.Max)), report.AtMost(250)),
		target("due_at_once", "times the naive program, at least 3", on(sqlite, toNaive), report.AtLeast(3)),
		target("due_at_once", "of the floor's executions that start with a delay, at least 0.85", on(sqlite, toFloor), report.AtLeast(0.85)),
		target("due_at_once", "times a batch job with 16 senders, at least 1", on(sqlite, toBatch16), report.AtLeast(1)),
		target("due_at_once", "the first message in ms, at most 250", on(sqlite, lateness(report.First)), report.AtMost(250)),
		target("due_at_once_unnamed", "delivered/s, at least 1000", on(sqlite, delivered), report.AtLeast(1000)),
		target("due_at_once_unnamed", "the first message in ms, at most 250", on(sqlite, lateness(report.First)), report.AtMost(250)),
		target("tenants", "the other tenant's lateness p99 in ms, at most 1000", on(sqlite, lateness(report.P99)), report.AtMost(1000)),
		target("hanging", "times the other tenant's lateness p99 without them, at most 1.5", hangingRatio, report.AtMost(1.5)),
		target("inbound", "p99 of the 202 of webhooks with ids in ms, at most 20", inboundAnswer, report.AtMost(20)),
		target("from_streams", "records/s without ids from NATS, taken and delivered, at least 2000", rateOf("from nats without ids"), report.AtLeast(2000)),
		target("from_streams", "records/s without ids from Kafka, taken and delivered, at least 2000", rateOf("from kafka without ids"), report.AtLeast(2000)),
		target("round_trip", "the latest record in ms, at most 1000", on(sqlite, lateness(report.Max)), report.AtMost(1000)),
		target("round_trip_published", "the latest record in ms, at most 1000", on(sqlite, lateness(report.Max)), report.AtMost(1000)),
		target("far_future", "accepted/s in the last tenth over the first, at least 0.8", on(sqlite, pending(acceptedLastToFirst)), report.AtLeast(0.8)),
		target("far_future", "MiB of memory at most, at most 1024", on(sqlite, peakMemory), report.AtMost(1024)),
		target("far_future", "seconds from start to ready, at most 10", on(sqlite, pending(restartTime)), report.AtMost(10)),
	}, slowReceiverTargets()...)
}

func slowReceiverTargets() []report.Target {
	var targets []report.Target
	for _, name := range []string{"slow_crm", "slow_crm_3", "outage", "rate_50", "hanging"} {
		targets = append(targets, target(name, "workflow tasks of endpoints over 200 ms, at most 0", longTasks, report.AtMost(0)))
	}
	for _, name := range []string{"slow_crm", "slow_crm_3"} {
		targets = append(targets,
			target(name, "in flight at the slow receiver, at most 10", slow(func(s *report.SlowReceiver) float64 { return float64(s.InFlight) }), report.AtMost(slowInFlight)),
			target(name, "times the other endpoint's p99 without the slow stream, at most 1.5", slow(func(s *report.SlowReceiver) float64 { return s.FastRatio }), report.AtMost(1.5)),
			target(name, "of what the slow receiver could take, at least 0.95", slow(func(s *report.SlowReceiver) float64 { return s.DrainedPart }), report.AtLeast(0.95)),
		)
	}
	return append(targets,
		target("outage", "attempts during the outage, at most 19", slow(func(s *report.SlowReceiver) float64 { return float64(s.OutageAttempts) }), report.AtMost(19)),
		target("outage", "in flight in the first 5 s after it, at most 10", slow(func(s *report.SlowReceiver) float64 { return float64(s.BackInFlight) }), report.AtMost(slowInFlight)),
		target("rate_50", "in any 10 s, at most 510", slow(func(s *report.SlowReceiver) float64 { return float64(s.MostIn10S) }), report.AtMost(510)),
		target("rate_50", "in any 10 s, at least 490", slow(func(s *report.SlowReceiver) float64 { return float64(s.FewestIn10S) }), report.AtLeast(490)),
		// An attempt's own timeout is 15 s unless something else is set.
		target("crash", "p99 of what was under way, in ms from the crash, at most 20000", crashed(report.P99), report.AtMost(20_000)),
		target("crash", "the latest of what was under way, in ms from the crash, at most 25000", crashed(report.Max), report.AtMost(25_000)),
		target("crash", "of all messages sent again, at most 0.1", repeated, report.AtMost(0.1)),
	)
}

func target(scenario, text string, value func(*report.Result) (float64, bool), met func(float64) bool) report.Target {
	return report.Target{Scenario: scenario, Text: text, Value: value, Met: met}
}

// figure is one of a result; zero where it was not measured.
type figure func(*report.Result) float64

// on is a figure of that system alone.
func on(name string, f figure) func(*report.Result) (float64, bool) {
	return func(r *report.Result) (float64, bool) {
		if r.System != name {
			return 0, false
		}
		value := f(r)
		return value, value != 0
	}
}

// slow is a figure of a receiver that cannot keep up; there it may be zero.
func slow(f func(*report.SlowReceiver) float64) func(*report.Result) (float64, bool) {
	return func(r *report.Result) (float64, bool) {
		if r.SlowReceiver == nil {
			return 0, false
		}
		return f(r.SlowReceiver), true
	}
}

// longTasks and hangingRatio may be zero, too.
func longTasks(r *report.Result) (float64, bool) {
	if r.LongTasks == nil {
		return 0, false
	}
	return float64(*r.LongTasks), true
}

func inboundAnswer(r *report.Result) (float64, bool) {
	if r.Inbound == nil {
		return 0, false
	}
	return r.Named.AnswerMS.P99, true
}

func hangingRatio(r *report.Result) (float64, bool) {
	if r.Hanging == nil {
		return 0, false
	}
	return r.AloneRatio, true
}

// rateOf is how many messages a second were delivered that travelled that way.
func rateOf(way string) func(*report.Result) (float64, bool) {
	return func(r *report.Result) (float64, bool) {
		if r.Streams == nil {
			return 0, false
		}
		return r.Rate(way), true
	}
}

func toNaive(r *report.Result) float64    { return r.RatioToNaive }
func toFloor(r *report.Result) float64    { return r.RatioToFloor }
func toBatch16(r *report.Result) float64  { return r.RatioToBatch16 }
func delivered(r *report.Result) float64  { return r.DeliveredPerS }
func peakMemory(r *report.Result) float64 { return r.PeakRSSMB }

func receipt(of func(report.Quantiles) float64) figure {
	return func(r *report.Result) float64 { return quantile(r.ReceiptMS, of) }
}

func lateness(of func(report.Quantiles) float64) figure {
	return func(r *report.Result) float64 { return quantile(r.LatenessMS, of) }
}

func quantile(q *report.Quantiles, of func(report.Quantiles) float64) float64 {
	if q == nil {
		return 0
	}
	return of(*q)
}

func pending(f func(*report.Pending) float64) figure {
	return func(r *report.Result) float64 {
		if r.Pending == nil {
			return 0
		}
		return f(r.Pending)
	}
}

func acceptedLastToFirst(p *report.Pending) float64 {
	if p.AcceptedPerSFirst == 0 {
		return 0
	}
	return p.AcceptedPerSLast / p.AcceptedPerSFirst
}

func restartTime(p *report.Pending) float64 { return p.RestartS }

// crashed is of the lateness of what was under way at a crash.
func crashed(of func(report.Quantiles) float64) func(*report.Result) (float64, bool) {
	return func(r *report.Result) (float64, bool) {
		if r.Crashes == nil || r.Crashes.LatenessMS == nil {
			return 0, false
		}
		return of(*r.Crashes.LatenessMS), true
	}
}

func repeated(r *report.Result) (float64, bool) {
	if r.Crashes == nil {
		return 0, false
	}
	return r.RepeatedPart, true
}
