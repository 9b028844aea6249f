package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/signature"
)

// Config says how the example runs.
type Config struct {
	// Database is that of services A and B: a postgres:// url, or a file.
	Database string
	// Folder holds the files of SQLite: the subscribers' database, and the other one too
	// where Database is empty.
	Folder string
	// API is Postdate's.
	API client.ClientWithResponsesInterface
	// URL is where Postdate reaches Handler.
	URL string
	// Stream is the name by which Postdate knows the stream that service B listens to.
	// Without it, service B is told by webhook.
	Stream string
	// RemindAfter and RemindEvery are when reminders come; 0: none do.
	RemindAfter, RemindEvery time.Duration
	// Retry is how messages are sent again. nil: as Postdate does by default.
	Retry *postdate.Retry
	// Unreliable stands before each receiver, where it is to fail.
	Unreliable func(http.Handler) http.Handler
	Log        *slog.Logger
}

// Example is both services, two subscribers and the page, in one process. Nothing but the
// database is shared between the services: they can run apart as well.
type Example struct {
	A           *ServiceA
	B           *receiver.Receiver
	DB          Database
	Subscribers Database

	outboxes []*Outbox
	mux      *http.ServeMux
}

// subscribers are the applications that want to know what becomes of requests.
var subscribers = []string{"john", "doe"}

// New opens the databases, makes the services, and subscribes the subscribers.
func New(ctx context.Context, c Config) (*Example, error) {
	if c.Database == "" {
		c.Database = filepath.Join(c.Folder, "payments.db")
	}
	db, err := Open(c.Database)
	if err != nil {
		return nil, err
	}
	theirs, err := Open(filepath.Join(c.Folder, "subscribers.db"))
	if err != nil {
		return nil, err
	}
	e := &Example{DB: db, Subscribers: theirs, mux: http.NewServeMux()}
	if err := errors.Join(db.CreateTables(ctx), e.services(ctx, c), e.subscribe(ctx, c)); err != nil {
		e.Close()
		return nil, err
	}
	e.mux.Handle("/requests", e.A.Handler())
	e.mux.Handle("/requests/", e.A.Handler())
	e.mux.Handle("/", (&Page{DB: db, Subscribers: theirs, API: c.API}).Handler())
	return e, nil
}

// services makes services A and B.
func (e *Example) services(ctx context.Context, c Config) error {
	to := postdate.Destination{URL: c.URL + "/service-b"}
	if c.Stream != "" {
		to = postdate.Destination{Stream: c.Stream}
	}
	ours, theirs := NewOutbox("a", e.DB, c.API, c.Log), NewOutbox("b", e.DB, c.API, c.Log)
	e.outboxes = []*Outbox{ours, theirs}
	e.A = &ServiceA{DB: e.DB, Outbox: ours, To: to, Retry: c.Retry, RemindAfter: c.RemindAfter}
	b := &ServiceB{DB: e.DB, Outbox: theirs, RemindEvery: c.RemindEvery}

	// Messages to a bare url are signed with the tenant's secret.
	answer, err := c.API.GetSigningSecretWithResponse(ctx)
	if err != nil {
		return fmt.Errorf("ask Postdate for the signing secret: %w", err)
	}
	secret, err := signature.ParseVerifier(answer.JSON200.Secret)
	if err != nil {
		return fmt.Errorf("read the signing secret: %w", err)
	}
	e.B, err = b.Receiver(ctx, receiver.Config{Secrets: []signature.Verifier{secret}, Logger: c.Log})
	if err == nil && c.Stream == "" {
		e.mux.Handle("POST /service-b", c.unreliable(e.B))
	}
	return err
}

func (e *Example) subscribe(ctx context.Context, c Config) error {
	for _, name := range subscribers {
		s := Subscriber{Name: name, DB: e.Subscribers}
		secret, err := s.Secret(ctx)
		if err != nil {
			return err
		}
		r, err := s.Receiver(ctx, receiver.Config{Secrets: []signature.Verifier{secret}, Logger: c.Log})
		if err != nil {
			return err
		}
		e.mux.Handle("POST /"+name, c.unreliable(r))
		if err := s.Subscribe(ctx, c.API, c.URL+"/"+name, secret, c.Retry); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) unreliable(h http.Handler) http.Handler {
	if c.Unreliable == nil {
		return h
	}
	return c.Unreliable(h)
}

// Handler serves service A's API, the receivers, and the page.
func (e *Example) Handler() http.Handler { return e.mux }

// Run empties the outboxes until ctx is done.
func (e *Example) Run(ctx context.Context) {
	done := make(chan struct{})
	for _, o := range e.outboxes {
		go func() {
			o.Run(ctx)
			done <- struct{}{}
		}()
	}
	for range e.outboxes {
		<-done
	}
}

// Close closes the databases.
func (e *Example) Close() {
	_ = e.DB.Close()
	_ = e.Subscribers.Close()
}
