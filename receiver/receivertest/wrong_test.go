package receivertest

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// flaws are what can be wrong with a receiver.
type flaws struct {
	noVerification, noTolerance, noLimit, foldIDs, firstSignatureOnly, overlookReadErrors bool

	receive func(ctx context.Context, n *naive, w http.ResponseWriter, id string)
}

// naive is a receiver as people write it by hand.
type naive struct {
	flaws

	db     *sql.DB
	secret signature.Secret
	step   Step

	mu       sync.Mutex
	inFlight map[string]bool
}

func (f flaws) open(t *testing.T, step Step) Receiver {
	t.Helper()
	n := &naive{flaws: f, db: openDatabase(t), secret: signature.NewSecret(), step: step, inFlight: map[string]bool{}}
	_, err := n.db.ExecContext(t.Context(), `CREATE TABLE marks (message_id TEXT PRIMARY KEY)`)
	require.NoError(t, err)
	return Receiver{Handler: n, Signer: n.secret, Effects: effects(t, n.db)}
}

func (n *naive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var source io.Reader = http.MaxBytesReader(w, r.Body, 1<<20)
	if n.noLimit {
		source = r.Body
	}
	body, err := io.ReadAll(source)
	if err != nil && !n.overlookReadErrors {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	now := time.Now()
	if n.noTolerance {
		now = time.Unix(atoi(r.Header.Get(signature.HeaderTimestamp)), 0)
	}
	if n.firstSignatureOnly {
		one, _, _ := strings.Cut(r.Header.Get(signature.HeaderSignature), " ")
		r.Header.Set(signature.HeaderSignature, one)
	}
	if err := signature.Verify(r.Header, body, now, 0, n.secret); err != nil && !n.noVerification {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	n.receive(context.Background(), n, w, r.Header.Get(signature.HeaderID))
}

func atoi(text string) (n int64) {
	for _, c := range text {
		n = 10*n + int64(c-'0')
	}
	return n
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (n *naive) key(id string) string {
	if n.foldIDs {
		return strings.ToLower(id)
	}
	return id
}

func (n *naive) marked(ctx context.Context, id string) bool {
	var one int
	return n.db.QueryRowContext(ctx, `SELECT 1 FROM marks WHERE message_id = ?`, n.key(id)).Scan(&one) == nil
}

// mark reports whether the mark was not there before.
func (n *naive) mark(ctx context.Context, in execer, id string) (bool, error) {
	result, err := in.ExecContext(ctx, `INSERT INTO marks VALUES (?) ON CONFLICT DO NOTHING`, n.key(id))
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}

func (n *naive) work(ctx context.Context, in execer, id string) error {
	if _, err := in.ExecContext(ctx, `INSERT INTO effects (message_id) VALUES (?)`, id); err != nil {
		return err
	}
	return n.step(ctx, id)
}

// done answers what became of the work: nothing stands for 200.
func done(w http.ResponseWriter, err error) {
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// inOneTransaction is right.
func inOneTransaction(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	done(w, n.transaction(ctx, id, true))
}

// transaction does the work in a transaction, with the mark in it or not.
func (n *naive) transaction(ctx context.Context, id string, mark bool) error {
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if mark {
		if fresh, err := n.mark(ctx, tx, id); err != nil || !fresh {
			return err
		}
	}
	if err := n.work(ctx, tx, id); err != nil {
		return err
	}
	return tx.Commit()
}

func checkThenMark(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	if n.marked(ctx, id) {
		return
	}
	if err := n.work(ctx, n.db, id); err != nil {
		done(w, err)
		return
	}
	_, err := n.mark(ctx, n.db, id)
	done(w, err)
}

func markThenWork(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	fresh, err := n.mark(ctx, n.db, id)
	if err == nil && fresh {
		err = n.compensated(ctx, id)
	}
	done(w, err)
}

// markThenUnmark repairs what markThenWork does, but for a crash.
func markThenUnmark(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	fresh, err := n.mark(ctx, n.db, id)
	if err == nil && fresh {
		if err = n.compensated(ctx, id); err != nil {
			_, _ = n.db.ExecContext(ctx, `DELETE FROM marks WHERE message_id = ?`, n.key(id))
		}
	}
	done(w, err)
}

// compensated does the work without a transaction, and undoes what has failed.
func (n *naive) compensated(ctx context.Context, id string) error {
	succeeded := false
	defer func() {
		if !succeeded {
			_, _ = n.db.ExecContext(ctx, `DELETE FROM effects WHERE message_id = ?`, id)
		}
	}()
	err := n.work(ctx, n.db, id)
	succeeded = err == nil
	return err
}

// leave takes a lease that only a clean end gives back, and refuses copies by it.
func leave(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	n.mu.Lock()
	taken := n.inFlight[id]
	n.inFlight[id] = true
	n.mu.Unlock()
	if taken {
		http.Error(w, "in progress", http.StatusConflict)
		return
	}
	inOneTransaction(ctx, n, w, id)
	n.mu.Lock()
	delete(n.inFlight, id)
	n.mu.Unlock()
}

// acceptInFlight answers success to a copy whose first is being worked on.
func acceptInFlight(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	n.mu.Lock()
	taken := n.inFlight[id]
	n.inFlight[id] = true
	n.mu.Unlock()
	if taken {
		return
	}
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.inFlight, id)
	}()
	inOneTransaction(ctx, n, w, id)
}

func noDeduplication(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	done(w, n.work(ctx, n.db, id))
}

// answerFirst does the work when it has answered.
func answerFirst(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	w.WriteHeader(http.StatusAccepted)
	_ = n.transaction(ctx, id, true)
}

// markAfterAnswer keeps what it has done in mind only when it has said so.
func markAfterAnswer(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	n.mu.Lock() // no copies at the same time
	defer n.mu.Unlock()
	if n.marked(ctx, id) {
		return
	}
	if err := n.transaction(ctx, id, false); err != nil {
		done(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = n.mark(ctx, n.db, id)
}

// markApart rolls back its mark, and not its work.
func markApart(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.marked(ctx, id) {
		return
	}
	err := n.work(ctx, n.db, id)
	if err == nil {
		_, err = n.mark(ctx, n.db, id)
	}
	done(w, err)
}

func abortOnFailure(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	if err := n.transaction(ctx, id, true); err != nil {
		w.Header().Set("Webhook-Delivery", "abort")
		done(w, err)
	}
}

func goneOnFailure(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	if err := n.transaction(ctx, id, true); err != nil {
		http.Error(w, "gone", http.StatusGone)
	}
}

func successOnFailure(ctx context.Context, n *naive, _ http.ResponseWriter, id string) {
	_ = n.transaction(ctx, id, true)
}

func refuseCopies(ctx context.Context, n *naive, w http.ResponseWriter, id string) {
	if n.marked(ctx, id) {
		http.Error(w, "seen before", http.StatusConflict)
		return
	}
	inOneTransaction(ctx, n, w, id)
}

// TestRun_FindsWhatIsWrong has each wrong receiver be found, by the test that is
// meant to find it, in the words that say what it is.
func TestRun_FindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		receiver flaws
		finds    map[string]string // by scenario: what the findings hold
	}{
		"nothing": {flaws{receive: inOneTransaction}, nil},
		"check, work, mark": {flaws{receive: checkThenMark}, map[string]string{
			"copies at the same time": " times. Insert the message's id",
			"work that fails":         "it has taken effect all the same",
		}},
		"mark, work": {flaws{receive: markThenWork}, map[string]string{
			"copies at the same time": "were answered with success",
			"work that fails":         "the work has not taken effect: the message is lost",
			"work that panics":        "the work has not taken effect: the message is lost",
		}},
		"mark, work, unmark": {flaws{receive: markThenUnmark}, map[string]string{
			"copies at the same time, of which the first fails": "were answered with success",
			"work that panics": "the work has not taken effect: the message is lost",
		}},
		"a lease that a crash leaves": {flaws{receive: leave}, map[string]string{
			"work that panics": "The last answer was 409 (in progress)",
		}},
		"success while the first is in flight": {flaws{receive: acceptInFlight}, map[string]string{
			"copies at the same time":                           "were answered with success",
			"copies at the same time, of which the first fails": "were answered with success",
		}},
		"no deduplication": {flaws{receive: noDeduplication}, map[string]string{
			"a message that comes again": "has taken effect 4 times",
			"copies at the same time":    "times",
			"an answer that is lost":     "has taken effect 2 times",
		}},
		"work after the answer": {flaws{receive: answerFirst}, map[string]string{
			"work that fails": "it is lost",
		}},
		"mark after the answer": {flaws{receive: markAfterAnswer}, map[string]string{
			"an answer that is lost": "has taken effect 2 times",
		}},
		"work that is not rolled back": {flaws{receive: markApart}, map[string]string{
			"work that fails":  "roll that back",
			"work that panics": "roll that back",
		}},
		"abort for a failure":   {flaws{receive: abortOnFailure}, map[string]string{"work that fails": "webhook-delivery: abort"}},
		"410 for a failure":     {flaws{receive: goneOnFailure}, map[string]string{"work that fails": "answered 410"}},
		"success for a failure": {flaws{receive: successOnFailure}, map[string]string{"work that fails": "it is lost"}},
		"409 for a copy":        {flaws{receive: refuseCopies}, map[string]string{"a message that comes again": "Answer 2xx to a copy"}},
		"no verification": {flaws{receive: inOneTransaction, noVerification: true}, map[string]string{
			"signatures": "A message signed with another secret was worked on",
		}},
		"no tolerance": {flaws{receive: inOneTransaction, noTolerance: true}, map[string]string{
			"signatures": "A message signed an hour ago was worked on",
		}},
		"one signature": {flaws{receive: inOneTransaction, firstSignatureOnly: true}, map[string]string{
			"signatures": "signed with two secrets, as while one is rotated was answered 401",
		}},
		"no limit": {flaws{receive: inOneTransaction, noLimit: true}, map[string]string{"a body without end": "http.MaxBytesReader"}},
		"case folded": {flaws{receive: inOneTransaction, foldIDs: true}, map[string]string{
			"ids that look alike": "by upper and lower case, the work on one has taken effect 0 times",
		}},
		"neither limit nor verification": {flaws{receive: inOneTransaction, noVerification: true, overlookReadErrors: true}, map[string]string{
			"a body that breaks off": "broke off was worked on",
			"a body without end":     "Answer 413",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, s := range append(scenarios, first) {
				want, finds := c.finds[s.name]
				if !finds && c.finds != nil {
					continue
				}
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					found := s.findings(t, timesFor(finds), c.receiver.open)
					if !finds {
						require.Empty(t, found)
						return
					}
					require.Contains(t, strings.Join(found, "\n"), want)
				})
			}
		})
	}
}

// timesFor are those for a trial that is meant to find something, or nothing: copies
// that a wrong receiver answers end the hold early.
func timesFor(finds bool) times {
	if finds {
		return times{patience: 2 * time.Second, hold: longest}
	}
	return usual
}
