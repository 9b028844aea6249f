// Package pacer is a worker process's limiter: it issues permits for attempts, so that no
// receiver gets more than its pace allows, over all processes.
//
// # Permits
//
// Every attempt needs a permit. [Pacer.Acquire] issues one at once, after a
// wait in place, or not at all: then it returns [throttle.ErrNoPermit], and the caller
// queues the delivery in a line. A permit ends when its attempt ends, and carries back the
// attempt's result. A permit that was issued stays good: the end of a lease, or of the
// pacer, does not take it back.
//
// # Leased and unleased endpoints
//
// Each endpoint has a limiter here. It is unleased at first: it only counts the attempts
// in flight, up to the endpoint's limit, and reports results about once a minute. This
// costs the engine nothing.
//
// It becomes leased when its endpoint has a pace of its own (which is to hold over all
// processes), after three failures in a row, when the receiver asks for less (429, 503,
// Retry-After), when requests wait in vain, or when the endpoint's execution demands it. A
// leased limiter issues permits by a lease alone: a share of what the endpoint may be
// sent, granted by the endpoint's execution for [protocol.LeaseTime]. One Update every few
// seconds renews the lease and reports results. An endpoint without a pace becomes
// unleased again when it has been well for a few seconds and its execution agrees.
//
// # Bare urls and tests
//
// A bare url is an endpoint without settings: the attempts of one tenant at one host share
// a local limiter, which bounds them in flight and has a breaker of its own, for attempts
// that get no answer for a second: one url that refuses is not all of its host. It is never
// leased, since there is no execution for it, and its deliveries have no line. A refusal is
// a [throttle.NoPermitError], which says when to ask again, such that the requests come
// back about as permits become free. Tests of endpoints that are not enabled have local
// limiters too.
//
// # Slots
//
// Over all endpoints, urls and tenants the attempts in flight in this process are bounded
// by slots, of which no tenant gets so many that none are free for another.
//
// # Who waits where
//
// A request waits in place when its permit can be expected within its MaxWait. Among
// waiting requests the oldest delivery is first. Everything else waits in lines, which
// the endpoint's execution wakes in order. Two rules keep the order: while lines wait,
// only deliveries whose line was woken (Dequeued) get permits; and for a moment after a
// delivery was sent away to be queued, all newcomers are sent after it.
//
// # Invariants
//
//   - Shares never sum to more than the endpoint's limit. The execution counts for each
//     process the larger of the share that it was granted and the one that it may still
//     use, until the lease ends; and a process counts its lease from before it asked.
//   - A lease that has ended is worth nothing: without an answer from the engine, a leased
//     limiter issues no permits.
//   - A rate's tokens exist once: in the execution's pool or in one process's bucket. What
//     one of them hands over, it no longer has.
//   - After a burst of failures no permit is issued until the execution has received the
//     report of it, since it decides about the breaker.
//   - Results are not lost while the engine is away: they are reported with the next
//     request that succeeds.
//   - A permit is acquired first, and slots for it then, never the other way round.
//   - Permits for several attempts are issued all at once or not at all, so that no two
//     requests wait for each other's rest.
package pacer
