// Package receiver handles each message that Postdate sends exactly once,
// although each may arrive several times.
//
// A [Receiver] stands around one function. It is an [http.Handler] that verifies
// Standard Webhooks, and its method [Receiver.Handle] does the same for messages
// from a broker:
//
//	marks := receiver.SQL(db, receiver.PostgreSQL, "billing")
//	expire, err := receiver.New(receiver.Config{Secrets: secrets}, marks,
//		func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
//			_, err := tx.ExecContext(ctx, `UPDATE payment_requests SET state = 'EXPIRED'
//				WHERE id = $1 AND state = 'PENDING'`, paymentRequest(m))
//			return err
//		})
//	http.Handle("POST /hooks", expire)
//
// What it guarantees, if the function works with the transaction that it is given:
//
//   - The message's id and the function's work are committed together or not at
//     all. There is no lock to release and no lease to expire: what a crash leaves
//     behind, the database rolls back.
//   - Copies that arrive at the same time run one after another. A copy gets 2xx
//     only after the work is committed, by it or by an earlier copy.
//   - A function that fails or panics leaves no mark, so the next copy runs it again.
//
// What the function returns decides what the sender does:
//
//	nil                       200                                  delivered
//	Reschedule(t)             200 with postdate-reschedule         delivered; sent again at t
//	RetryAfter(d)             503 with Retry-After                 retried, after d at the earliest
//	Abort(reason)             422 with webhook-delivery: abort     not retried
//	any other error           500                                  retried
//
// Work outside the transaction, such as a call to another service, can happen
// twice: give that service the message's id as its idempotency key.
//
// The package uses the standard library alone. Package receivertest tests any
// receiver, of this package or not.
package receiver
