package receiver_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/signature"
)

// A payment request that is still pending when it is due expires, once, however
// often the message arrives.
func ExampleNew() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	check(err)
	db.SetMaxOpenConns(1) // each connection to :memory: would have a database of its own
	_, err = db.ExecContext(ctx, `CREATE TABLE payment_requests (id TEXT PRIMARY KEY, state TEXT);
		INSERT INTO payment_requests VALUES ('pr_123', 'PENDING')`)
	check(err)

	marks := receiver.SQL(db, receiver.SQLite, "expire payment requests")
	check(marks.CreateTable(ctx))
	secret, err := signature.ParseVerifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	check(err)

	expire, err := receiver.New(receiver.Config{Secrets: []signature.Verifier{secret}}, marks,
		func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
			var data struct {
				PaymentRequest string `json:"payment_request"`
			}
			if err := json.Unmarshal(m.Data, &data); err != nil {
				return receiver.Abort("the data are not those of a payment request")
			}
			result, err := tx.ExecContext(ctx, `UPDATE payment_requests SET state = 'EXPIRED'
				WHERE id = ? AND state = 'PENDING'`, data.PaymentRequest)
			if err != nil {
				return err
			}
			expired, err := result.RowsAffected()
			fmt.Println(m.ID, m.Type, "expired", expired)
			return err
		})
	check(err)

	mux := http.NewServeMux()
	mux.Handle("POST /hooks", expire)
	for range 2 {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, due())
		fmt.Print(answer.Code, " ", answer.Body)
	}
	// Output:
	// pr_123-expiry payment_request.due expired 1
	// 200 handled
	// 200 handled before, by an earlier copy
}

// The same function takes messages from a broker. Here a channel stands for one.
func ExampleReceiver_Handle() {
	remind, err := receiver.New(receiver.Config{}, receiver.InMemory(10_000),
		func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
			if m.Type != "payment_request.due" {
				return receiver.Abort("unknown type " + m.Type)
			}
			fmt.Println("reminded of", string(m.Data))
			return nil
		})
	check(err)

	records := make(chan record, 3)
	records <- record{map[string][]string{"ce_id": {"evt_1"}, "ce_type": {"payment_request.due"}, "ce_specversion": {"1.0"}}, `"pr_123"`}
	records <- record{map[string][]string{"ce_id": {"evt_1"}, "ce_type": {"payment_request.due"}, "ce_specversion": {"1.0"}}, `"pr_123"`}
	records <- record{map[string][]string{"ce_id": {"evt_2"}, "ce_type": {"lunch"}, "ce_specversion": {"1.0"}}, `null`}
	close(records)

	for r := range records {
		result := remind.Handle(context.Background(), receiver.ParseMessage(r.headers, []byte(r.value)))
		switch result.Outcome {
		case receiver.Accepted:
			fmt.Println("acknowledge; duplicate:", result.Duplicate)
		case receiver.Aborted:
			fmt.Println("dead letter:", result.Err)
		case receiver.Rescheduled, receiver.Failed:
			fmt.Println("deliver again")
		}
	}
	// Output:
	// reminded of "pr_123"
	// acknowledge; duplicate: false
	// acknowledge; duplicate: true
	// dead letter: unknown type lunch
}

// A receiver keeps a cycle going by asking for the same message again.
func ExampleReschedule() {
	var reminders int
	remind, err := receiver.New(receiver.Config{}, receiver.InMemory(10_000),
		func(_ context.Context, _ receiver.NoTx, m receiver.Message) error {
			reminders++
			if reminders == 3 {
				return nil
			}
			return receiver.Reschedule(m.SentAt.AddDate(0, 0, 7))
		})
	check(err)

	at := time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC)
	for {
		result := remind.Handle(context.Background(), receiver.Message{ID: "pr_123-reminder", SentAt: at})
		fmt.Println(at.Format(time.DateOnly), result.Outcome)
		if result.Outcome != receiver.Rescheduled {
			break
		}
		at = result.RescheduleTo
	}
	// Output:
	// 2027-01-01 rescheduled
	// 2027-01-08 rescheduled
	// 2027-01-15 accepted
}

// What a function needs is down: it says when to try again, and why.
func ExampleRetryAfter() {
	errRefused := errors.New("connection refused")
	export, err := receiver.New(receiver.Config{Logger: slog.New(slog.DiscardHandler)}, receiver.InMemory(10_000),
		func(context.Context, receiver.NoTx, receiver.Message) error {
			return fmt.Errorf("crm: %w: %w", errRefused, receiver.RetryAfter(time.Minute))
		})
	check(err)

	result := export.Handle(context.Background(), receiver.Message{ID: "evt_1"})
	fmt.Println(result.Outcome, result.RetryAfter)
	fmt.Println(result.Err)
	// Output:
	// failed 1m0s
	// crm: connection refused: retry after 1m0s
}

// due is what Postdate sends when the payment request is due.
func due() *http.Request {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	check(err)
	now := time.Now()
	body := `{"type":"payment_request.due","timestamp":"2027-01-01T09:00:00Z","data":{"payment_request":"pr_123"}}`
	request := httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader(body))
	request.Header.Set(signature.HeaderID, "pr_123-expiry")
	request.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(signature.HeaderSignature, signature.Sign("pr_123-expiry", now, []byte(body), secret))
	return request
}

// record is what a broker delivers.
type record struct {
	headers map[string][]string
	value   string
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
