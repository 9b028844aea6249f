// Package payments is the worked example of Postdate: payment requests that expire unless
// they are paid before.
//
// [ServiceA] creates and pays requests. [ServiceB] is told when one is due, or to be
// reminded of. A [Subscriber] is somebody else's application, which is told what became of
// requests. README.md tells the story; package server runs it, and package demo proves it.
package payments

import "time"

// State is what a payment request is in.
type State string

// A payment request is pending until it is paid or expires, and never both.
const (
	Pending State = "PENDING"
	Paid    State = "PAID"
	Expired State = "EXPIRED"
)

// Request asks for an amount that is paid, or not, until a moment.
type Request struct {
	ID        string    `json:"id"`
	From      string    `json:"from"` // who asks
	To        string    `json:"to"`   // who is asked
	Cents     int64     `json:"cents"`
	State     State     `json:"state"`
	ExpiresAt time.Time `json:"expires_at"`
	Reminders int       `json:"reminders"`
}

// What Postdate carries: the first two to service B when they are due, the others to
// whoever subscribed to them.
const (
	TypeDue      = "payment_request.due"
	TypeReminder = "payment_request.reminder"
	TypePaid     = "payment_request.paid"
	TypeExpired  = "payment_request.expired"
	TypeReminded = "payment_request.reminded"
)

// About is the data of all messages.
type About struct {
	PaymentRequest string `json:"payment_request"`
}

// expiryID is the id of a request's expiry in Postdate. Whoever knows the request knows it,
// so nothing must be stored to cancel it, and asking for it twice makes one.
func expiryID(request string) string { return request + "-expiry" }
