package consume_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/consume"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/protocol"
)

// world is Temporal, the parser and the stream of dead letters.
type world struct {
	mu        sync.Mutex
	intakes   map[string]protocol.IntakeInput
	conflicts map[int64]bool
	room      int // how many messages may be admitted
	letters   []streams.Record
	broken    int // how often publishing dead letters fails
	fail      func() error
}

func newWorld() *world {
	return &world{intakes: make(map[string]protocol.IntakeInput), room: 1 << 30}
}

func (w *world) AdmitArrivals(_ context.Context, arrivals []ingest.Arrival) (func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(arrivals) > w.room {
		return nil, postdate.Errorf(postdate.QuotaPending, "", "no room for %d", len(arrivals))
	}
	w.room -= len(arrivals)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.room += len(arrivals)
	}, nil
}

func (w *world) PlanIntake(_ context.Context, stream, _ string, arrivals []ingest.Arrival) (protocol.IntakeInput, error) {
	in := protocol.IntakeInput{Stream: stream}
	for _, arrival := range arrivals {
		in.Positions = append(in.Positions, arrival.Position)
	}
	return in, nil
}

func (w *world) RunIntake(_ context.Context, id string, in protocol.IntakeInput) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, exists := w.intakes[id]; exists {
		return executions.ErrExists
	}
	w.intakes[id] = in
	if w.fail != nil {
		return w.fail() // the answer is lost
	}
	return nil
}

func (w *world) IntakeRecords(_ context.Context, id string) ([]int64, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in, found := w.intakes[id]
	return in.Positions, found, nil
}

func (w *world) IntakeResult(_ context.Context, id string) (result protocol.IntakeResult, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, position := range w.intakes[id].Positions {
		if w.conflicts[position] {
			result.Conflicts = append(result.Conflicts, protocol.IntakeConflict{Position: position, Reason: "it exists already"})
		}
	}
	return result, nil
}

func (w *world) ReadRecord(_ context.Context, tenant string, record streams.Incoming, _ bool) (ingest.Arrival, error) {
	if strings.HasPrefix(string(record.Body), "bad") {
		return ingest.Arrival{}, &streams.RejectedError{Code: postdate.Invalid, Reason: "it is bad"}
	}
	return ingest.Arrival{Tenant: tenant, Event: &postdate.Event{Type: "x"}}, nil
}

func (w *world) Publish(_ context.Context, _ string, r streams.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken > 0 {
		w.broken--
		return errors.New("no connection")
	}
	w.letters = append(w.letters, r)
	return nil
}

// carried is how often each position is carried.
func (w *world) carried() map[int64]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := make(map[int64]int)
	for _, in := range w.intakes {
		for _, position := range in.Positions {
			counts[position]++
		}
	}
	return counts
}

// captured is a reader that hands its consumer to the test.
type captured struct{ consumers chan *consume.Consumer }

func (r captured) Read(ctx context.Context, c *consume.Consumer) error {
	r.consumers <- c
	<-ctx.Done()
	return nil
}

// newConsumer is a consumer in the world, as a process has one.
func (w *world) newConsumer(t *testing.T, deadLetter string) *consume.Consumer {
	t.Helper()
	reader := captured{make(chan *consume.Consumer, 1)}
	consumers, err := consume.New(consume.Config{
		Streams: []streams.Config{{Name: "in", Tenants: []string{"acme"}, Consume: &streams.Consume{Tenant: "acme", DeadLetter: deadLetter}}},
		Open:    func(streams.Config) (consume.Reader, error) { return reader, nil },
		Parser:  w, Ingester: w, DeadLetters: w,
	})
	require.NoError(t, err)
	go consumers.Run(t.Context())
	return <-reader.consumers
}

func recordsOf(from, to int64) (records []consume.Record) {
	for position := from; position < to; position++ {
		r := consume.Record{Partition: "topic/0", Position: position, Where: fmt.Sprintf("offset %d", position)}
		r.Body = fmt.Appendf(nil, "%d", position)
		records = append(records, r)
	}
	return records
}

func takeAll(t *testing.T, c *consume.Consumer, records []consume.Record) {
	t.Helper()
	for len(records) > 0 {
		taken, err := c.Take(t.Context(), records)
		require.NoError(t, err)
		require.Positive(t, taken)
		records = records[taken:]
	}
}

// Each record is in one Intake, whatever is read again, by how many, and in whatever pieces.
func TestRecordsThatAreReadAgainAreCarriedOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w, random := newWorld(), rand.New(rand.NewPCG(seed, 1))
		if seed%2 == 0 {
			failing := rand.New(rand.NewPCG(seed, 2))
			w.fail = func() error { // now and then
				if failing.IntN(4) == 0 {
					return errors.New("no answer")
				}
				return nil
			}
		}
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			w.inParallel(ctx, t, random)
		})
		counts := w.carried()
		require.Len(t, counts, 1000)
		for position, count := range counts {
			require.Equal(t, 1, count, "position %d, seed %d", position, seed)
		}
	}
}

// inParallel has five processes read overlapping parts of a partition.
func (w *world) inParallel(ctx context.Context, t *testing.T, random *rand.Rand) {
	t.Helper()
	var readers sync.WaitGroup
	all := recordsOf(0, 1000)
	for n := range 5 {
		from := random.IntN(400)
		if n == 0 {
			from = 0
		}
		piece := 1 + random.IntN(300)
		c := w.newConsumer(t, "letters")
		readers.Go(func() {
			for records := all[from:]; len(records) > 0; {
				taken, err := c.Take(ctx, records[:min(piece, len(records))])
				if err != nil {
					return
				}
				records = records[taken:]
			}
		})
	}
	readers.Wait()
}

func TestABatchThatIsNotAdmittedGetsSmaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.room = 3
		c := w.newConsumer(t, "letters")
		taken, err := c.Take(t.Context(), recordsOf(0, 10))
		require.NoError(t, err)
		require.Equal(t, 2, taken)
		taken, err = c.Take(t.Context(), recordsOf(2, 10))
		require.NoError(t, err)
		require.Equal(t, 1, taken)
		done := make(chan int)
		go func() {
			taken, _ := c.Take(t.Context(), recordsOf(3, 10))
			done <- taken
		}()
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		require.Equal(t, consume.Slowed, c.Status().State)
		require.Contains(t, c.Status().Reason, "no room for 1")
		w.mu.Lock()
		w.room = 100
		w.mu.Unlock()
		require.Equal(t, 7, <-done)
		require.Empty(t, w.letters)
	})
}

func TestWhatCannotBeTakenGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.conflicts, w.broken = map[int64]bool{4: true}, 3
		records := recordsOf(0, 6)
		records[2].Body = []byte("bad\r\n")
		records[2].Headers = []streams.Header{{Name: "x-own", Value: "kept"}, {Name: "Nats-Msg-Id", Value: "1"}}
		c := w.newConsumer(t, "letters")
		takeAll(t, c, records)
		require.Len(t, w.letters, 2, "it waited for the broker")
		letter := w.letters[0]
		require.Equal(t, "bad\r\n", string(letter.Body))
		require.Contains(t, letter.Headers, streams.Header{Name: "postdate-reason", Value: "it is bad"})
		require.Contains(t, letter.Headers, streams.Header{Name: "postdate-position", Value: "offset 2"})
		require.Contains(t, letter.Headers, streams.Header{Name: "x-own", Value: "kept"})
		require.NotContains(t, letter.Headers, streams.Header{Name: "Nats-Msg-Id", Value: "1"})
		require.Contains(t, w.letters[1].Headers, streams.Header{Name: "postdate-code", Value: "conflict"})
		require.Equal(t, []int64{0, 1, 3, 4, 5}, slices.Sorted(maps.Keys(w.carried())))
		require.EqualValues(t, 4, c.Status().Accepted)
		require.EqualValues(t, 2, c.Status().Rejected)

		// It was accepted once, and would be refused today: it is not rejected then.
		late := recordsOf(0, 2)
		late[1].Body = []byte("bad by now")
		takeAll(t, w.newConsumer(t, "letters"), late)
		require.Len(t, w.letters, 2)
	})
}

func TestADeadLetterThatIsRepeatedHasTheSameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		bad := func(position int64, messageID, body string) []consume.Record {
			return []consume.Record{{Partition: "l", Position: position, Incoming: streams.Incoming{MessageID: messageID, Body: []byte(body)}}}
		}
		for _, records := range [][]consume.Record{
			bad(7, "", "bad"), bad(7, "", "bad"), bad(8, "", "bad"), // by their places
			bad(1, "a", "bad"), bad(2, "a", "bad"), bad(3, "a", "bad, another"), // by their names
		} {
			takeAll(t, w.newConsumer(t, "letters"), records)
		}
		ids := map[string]int{}
		for _, letter := range w.letters {
			require.Contains(t, letter.Headers, streams.Header{Name: "postdate-id", Value: letter.ID})
			ids[letter.ID]++
		}
		require.Len(t, ids, 4)
		require.Equal(t, 2, ids[w.letters[0].ID])
		require.Equal(t, 2, ids[w.letters[3].ID])
	})
}

func TestWithoutDeadLettersARecordStopsThoseBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		records := recordsOf(0, 5)
		records[2].Body = []byte("bad")
		c := w.newConsumer(t, "")
		taken, err := c.Take(t.Context(), records)
		require.NoError(t, err)
		require.Equal(t, 2, taken, "those before it may be acknowledged")
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		taken, err = c.Take(ctx, records[2:])
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, taken)
		require.Equal(t, consume.Stopped, c.Status().State)
		require.Contains(t, c.Status().Reason, "offset 2")
		require.Equal(t, []int64{0, 1}, slices.Sorted(maps.Keys(w.carried())))
	})
}

func TestTheTenantIsOneOfTheStreams(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		how     streams.Consume
		record  streams.Incoming
		allowed []string
		reason  string
	}{
		"a header":             {how: streams.Consume{TenantHeader: "X-Tenant"}, record: streams.Incoming{Headers: []streams.Header{{Name: "x-tenant", Value: "acme"}}}},
		"a field":              {how: streams.Consume{TenantField: "/data/a~1b"}, record: streams.Incoming{Body: []byte(`{"data": {"a/b": "acme"}}`)}},
		"none":                 {how: streams.Consume{TenantField: "/tenant"}, record: streams.Incoming{Body: []byte(`[]`)}, reason: "the field /tenant names no tenant"},
		"another's":            {how: streams.Consume{TenantHeader: "x-tenant"}, record: streams.Incoming{Headers: []streams.Header{{Name: "x-tenant", Value: "globex"}}}, reason: "no tenant of this stream"},
		"all but no such name": {how: streams.Consume{TenantHeader: "x-tenant"}, record: streams.Incoming{Headers: []streams.Header{{Name: "x-tenant", Value: "../x"}}}, allowed: []string{"*"}, reason: "no tenant of this stream"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, reader := newWorld(), captured{make(chan *consume.Consumer, 1)}
			test.how.DeadLetter = "letters"
			tenants := test.allowed
			if tenants == nil {
				tenants = []string{"acme"}
			}
			consumers, err := consume.New(consume.Config{
				Streams: []streams.Config{{Name: "in", Tenants: tenants, Consume: &test.how}},
				Open:    func(streams.Config) (consume.Reader, error) { return reader, nil }, Parser: w, Ingester: w, DeadLetters: w,
			})
			require.NoError(t, err)
			go consumers.Run(t.Context())
			takeAll(t, <-reader.consumers, []consume.Record{{Partition: "l", Incoming: test.record}})
			if test.reason == "" {
				require.Empty(t, w.letters, name)
				return
			}
			require.Len(t, w.letters, 1, name)
			require.Contains(t, fmt.Sprint(w.letters[0].Headers), test.reason, name)
		})
	}
}

// What holds one partition up is shown until that goes on, whatever others do.
func TestStatusIsThatOfThePartitionThatIsWorstOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.newConsumer(t, "")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		bad := recordsOf(0, 1)
		bad[0].Body = []byte("bad")
		go func() { _, _ = c.Take(ctx, bad) }()
		synctest.Wait()
		require.Equal(t, consume.Stopped, c.Status().State)
		good := recordsOf(0, 1)
		good[0].Partition = "another"
		_, err := c.Take(ctx, good)
		require.NoError(t, err)
		require.Equal(t, consume.Stopped, c.Status().State)
		require.NotEmpty(t, c.Status().Reason)
		c.ForgetLag(bad[0].Partition)
		require.Equal(t, consume.Reading, c.Status().State)
	})
}
