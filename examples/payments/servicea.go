package payments

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

// ServiceA creates payment requests and takes payments.
type ServiceA struct {
	DB     Database
	Outbox *Outbox
	// To is where service B is told: a url or a stream.
	To postdate.Destination
	// Retry is how a message to service B is sent again. nil: as Postdate does by default.
	Retry *postdate.Retry
	// RemindAfter is when service B is first told to remind; 0: never.
	RemindAfter time.Duration
}

// Create writes the request, and in the same transaction that its expiry is to be scheduled.
// A crash leaves both or neither.
func (a *ServiceA) Create(ctx context.Context, r Request) (Request, error) {
	if r.ID == "" {
		r.ID = "pr_" + rand.Text()[:10]
	}
	r.State, r.ExpiresAt = Pending, r.ExpiresAt.UTC().Truncate(time.Millisecond)
	err := a.DB.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, a.DB.say(`INSERT INTO payment_requests (id, payee, payer, cents, state, expires_at)
			VALUES ($1, $2, $3, $4, 'PENDING', $5)`), r.ID, r.From, r.To, r.Cents, r.ExpiresAt.UnixMilli())
		if err != nil {
			return fmt.Errorf("insert %s: %w", r.ID, err)
		}
		if err := a.DB.note(ctx, tx, r.ID, Pending); err != nil {
			return err
		}
		if err := a.schedule(ctx, tx, r, expiryID(r.ID), TypeDue, r.ExpiresAt); err != nil {
			return err
		}
		if a.RemindAfter == 0 {
			return nil
		}
		return a.schedule(ctx, tx, r, r.ID+"-reminder", TypeReminder, time.Now().Add(a.RemindAfter))
	})
	if err != nil {
		return Request{}, err
	}
	a.Outbox.Empty()
	return r, nil
}

// schedule has a message about r sent to service B at a moment.
func (a *ServiceA) schedule(ctx context.Context, tx *sql.Tx, r Request, id, kind string, at time.Time) error {
	data, err := json.Marshal(About{r.ID})
	if err != nil {
		return fmt.Errorf("write the data: %w", err)
	}
	return a.Outbox.put(ctx, tx, r.ID, callSchedule, client.CreateSchedule{
		ID: id, Type: kind, Entity: r.ID, Data: data, DueAt: &at, To: &a.To, Retry: a.Retry,
	})
}

// Pay makes a request paid, unless it has expired, and cancels its expiry. It can be
// repeated. Its answer is what the request is now.
func (a *ServiceA) Pay(ctx context.Context, id string) (Request, error) {
	var r Request
	err := a.DB.inTx(ctx, func(tx *sql.Tx) error {
		won, err := a.DB.settle(ctx, tx, id, Paid)
		if err != nil {
			return err
		}
		if won {
			if err := a.Outbox.put(ctx, tx, id, callCancel, expiryID(id)); err != nil {
				return err
			}
			if err := a.Outbox.put(ctx, tx, id, callPublish, event(TypePaid, id)); err != nil {
				return err
			}
		}
		r, err = a.DB.find(ctx, tx, id)
		return err
	})
	a.Outbox.Empty()
	return r, err
}

// event is what subscribers are told about a request: once, for its id follows from both.
func event(kind, request string) client.Event {
	data, _ := json.Marshal(About{request}) //nolint:errchkjson // a string: it cannot fail
	return client.Event{ID: request + "-" + strings.TrimPrefix(kind, "payment_request."), Type: kind, Entity: request, Data: data}
}

// Handler is service A's API.
func (a *ServiceA) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /requests", func(w http.ResponseWriter, request *http.Request) {
		var wanted struct {
			From      string  `json:"from"`
			To        string  `json:"to"`
			Cents     int64   `json:"cents"`
			ExpiresIn float64 `json:"expires_in"` // seconds
		}
		err := json.NewDecoder(http.MaxBytesReader(w, request.Body, 1<<16)).Decode(&wanted)
		if err != nil || wanted.From == "" || wanted.To == "" || wanted.Cents <= 0 || wanted.ExpiresIn <= 0 || wanted.ExpiresIn > 1e9 {
			answer(w, http.StatusUnprocessableEntity, map[string]string{"error": `from, to, and positive cents and expires_in (seconds) are needed`})
			return
		}
		r, err := a.Create(request.Context(), Request{
			From: wanted.From, To: wanted.To, Cents: wanted.Cents,
			ExpiresAt: time.Now().Add(time.Duration(wanted.ExpiresIn * float64(time.Second))),
		})
		answerRequest(w, http.StatusCreated, r, err)
	})
	mux.HandleFunc("POST /requests/{id}/pay", func(w http.ResponseWriter, request *http.Request) {
		r, err := a.Pay(request.Context(), request.PathValue("id"))
		status := http.StatusOK
		if r.State == Expired {
			status = http.StatusConflict // too late
		}
		answerRequest(w, status, r, err)
	})
	mux.HandleFunc("GET /requests/{id}", func(w http.ResponseWriter, request *http.Request) {
		r, err := a.DB.find(request.Context(), a.DB, request.PathValue("id"))
		answerRequest(w, http.StatusOK, r, err)
	})
	return mux
}

func answerRequest(w http.ResponseWriter, status int, r Request, err error) {
	switch {
	case errors.Is(err, errNoRequest):
		answer(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	case err != nil:
		answer(w, http.StatusInternalServerError, map[string]string{"error": "try again"})
	default:
		answer(w, status, r)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // it can be written, and a caller that is gone asks again
}

func reader(body []byte) io.Reader { return bytes.NewReader(body) }

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
