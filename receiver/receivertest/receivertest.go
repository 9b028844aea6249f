package receivertest

import (
	"context"
	"net/http"
	"testing"

	"github.com/postdate/postdate/signature"
)

// Receiver is what is tested.
type Receiver struct {
	// Handler receives the messages.
	Handler http.Handler
	// Path is where it does. Default "/".
	Path string
	// Signer signs them so that Handler takes them.
	Signer signature.Signer
	// Effects counts how often the work on the message with that id has taken
	// effect: rows that it inserted, say, as another connection reads them. The
	// work is what must be done before the answer: for a receiver that keeps
	// messages and works on them later, that they are kept.
	Effects func(id string) int
	// Body makes the body of a message that Handler understands, each about an
	// entity of its own. Default: {"type", "timestamp", "data": {"id"}}.
	Body func(id string) []byte
}

// Step stands for what can happen in the middle of the work. The work on a message
// calls it after its effect and before that is committed, and returns its error
// as its own. It may wait, and it may panic.
type Step func(ctx context.Context, id string) error

// Run tests the receivers that open opens: one for each test, since they run beside
// each other.
func Run(t *testing.T, open func(t *testing.T, step Step) Receiver) {
	t.Helper()
	if !t.Run(first.name, func(t *testing.T) { first.test(t, open) }) {
		t.Fatal("the other tests need a receiver that takes a message")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.test(t, open)
		})
	}
}

// scenario is one way in which messages arrive.
type scenario struct {
	name string
	play func(*trial)
}

var first = scenario{"a message", aMessage}

var scenarios = []scenario{
	{"a message that comes again", comesAgain},
	{"copies at the same time", copies},
	{"copies at the same time, of which the first fails", failingCopies},
	{"different messages at the same time", differentMessages},
	{"ids that look alike", similarIDs},
	{"work that fails", failingWork},
	{"work that panics", panickingWork},
	{"an answer that is lost", lostAnswer},
	{"a sender that hangs up", hangUp},
	{"signatures", signatures},
	{"a body without end", endlessBody},
	{"a body that breaks off", brokenBody},
}

func (s scenario) test(t *testing.T, open func(t *testing.T, step Step) Receiver) {
	t.Helper()
	for _, finding := range s.findings(t, usual, open) {
		t.Error(finding)
	}
}

// findings plays s and returns what the receiver did wrong, in words.
func (s scenario) findings(t *testing.T, times times, open func(t *testing.T, step Step) Receiver) []string {
	t.Helper()
	tr := newTrial(t, times, open)
	s.play(tr)
	return tr.found
}
