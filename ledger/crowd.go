package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/time/rate"

	"github.com/postdate/postdate/workflows"
)

// crowding keeps a tenant's stampede from holding up all others. The engine fires
// timers in the order of their times, whosever they are, so what is due a moment
// after thousands of another tenant's would be woken after all of them. Here, of
// what a tenant has due within one second, so many are woken at their time, and as
// many in each second that follows, in the order in which they were accepted.
//
// How many there are it counts by itself. Those that it cannot know of, accepted by
// another process or before this one was started, it asks the engine for: when it
// meets a second for the first time, and as the crowd grows.
type crowding struct {
	perSecond int
	count     func(ctx context.Context, condition string) (int, error)
	asking    *rate.Limiter

	mu sync.Mutex
	// Crowds are forgotten a generation at a time, so that those of a million
	// different seconds take no memory. What is forgotten the engine knows.
	crowds, older map[moment]*crowd
}

// moment is a second in which a tenant has something due.
type moment struct {
	tenant string
	second int64
}

// crowd is what is due at a moment.
type crowd struct {
	size int
	asks int // from this size on the engine is asked
}

const (
	// asksPerSecond bounds how often the engine is asked how many there are.
	asksPerSecond = 5
	// longestPutOff bounds for how long one of a crowd is put off.
	longestPutOff = time.Hour
	// mostCrowds is how many a generation has.
	mostCrowds = 10_000
	// countTimeout bounds how long the engine may take to say how many there are.
	countTimeout = time.Second
)

func newCrowding(perSecond int, count func(ctx context.Context, condition string) (int, error)) *crowding {
	return &crowding{
		perSecond: perSecond, count: count, asking: rate.NewLimiter(asksPerSecond, asksPerSecond),
		crowds: make(map[moment]*crowd),
	}
}

// join counts another one of the tenant's that is due then, and answers how long
// after that it is to be woken.
func (c *crowding) join(ctx context.Context, tenant string, due time.Time) time.Duration {
	if c.perSecond == 0 {
		return 0
	}
	at := moment{tenant, due.Unix()}
	size, ask := c.add(at, 1)
	if ask {
		if known := c.known(ctx, at); known >= size {
			size, _ = c.add(at, known+1-size)
		}
	}
	late := max(0, size-c.perSecond)
	return min(longestPutOff, time.Duration(late)*time.Second/time.Duration(c.perSecond))
}

// leave takes back what a call of join has counted.
func (c *crowding) leave(tenant string, due time.Time) {
	if c.perSecond > 0 {
		c.add(moment{tenant, due.Unix()}, -1)
	}
}

// add adds n to a crowd. It answers its size, and whether to ask the engine.
func (c *crowding) add(at moment, n int) (size int, ask bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := c.crowds[at]
	if here == nil {
		if len(c.crowds) == mostCrowds {
			c.crowds, c.older = make(map[moment]*crowd), c.crowds
		}
		if here = c.older[at]; here == nil {
			here = &crowd{}
		}
		c.crowds[at] = here
	}
	here.size += n
	if ask = here.size > here.asks && c.asking.Allow(); ask {
		here.asks = here.size + max(c.perSecond, here.size/4)
	}
	return here.size, ask
}

// known is how many the engine has in a crowd. Where it does not answer, none are known.
func (c *crowding) known(ctx context.Context, at moment) int {
	ctx, stop := context.WithTimeout(ctx, countTimeout)
	defer stop()
	then := time.Unix(at.second, 0)
	n, err := c.count(ctx, fmt.Sprintf("%s AND %s IS NULL AND ExecutionTime >= %s AND ExecutionTime < %s",
		equals(workflows.Tenant, at.tenant), workflows.Crowd.GetName(), quoteTime(then), quoteTime(then.Add(time.Second))))
	if err != nil || n < c.perSecond {
		return n
	}
	putOff, err := c.count(ctx, equals(workflows.Crowd, workflows.CrowdOf(at.tenant, then)))
	if err != nil {
		return 0
	}
	return c.perSecond + putOff
}

// countOpen counts the open executions of which condition is true, as the engine's
// lists know, which are a little behind.
func (l *Ledger) countOpen(ctx context.Context, condition string) (int, error) {
	counted, err := l.Temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: l.Namespace, Query: condition + " AND ExecutionStatus = 'Running'",
	})
	return int(counted.GetCount()), err
}
