package postdate

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// What a consumer of an endpoint that is pulled from may ask for.
const (
	// MaxPull is how many messages one pull returns at most, and DefaultPull where it says
	// nothing.
	MaxPull     = 100
	DefaultPull = 10
	// MaxPullWait is how long a pull may wait for the first message.
	MaxPullWait = time.Minute
	// DefaultLease is how long a lease lasts where the pull says nothing. It lasts at least
	// MinLease and at most MaxLease.
	DefaultLease = time.Minute
	MinLease     = time.Second
	MaxLease     = 12 * time.Hour
	// MaxReceipts is how many receipts one request may settle.
	MaxReceipts = 1000
)

// PulledMessage is a message that a consumer has leased.
type PulledMessage struct {
	Message

	DeliveryID string
	// Attempt is the number of this attempt at the delivery.
	Attempt int
	// Receipt names the lease, to whoever acknowledges the message.
	Receipt    string
	LeaseUntil time.Time
	// ExpiresAt is when the message is of no use any more. Zero: never.
	ExpiresAt time.Time
}

// SettleAction is what a consumer says of a message that it has leased.
type SettleAction string

// The actions.
const (
	Ack    SettleAction = "ack"    // it is done
	Nack   SettleAction = "nack"   // it failed: it comes again as the retry policy says
	Extend SettleAction = "extend" // it takes longer
)

// SettleResult is what became of a receipt.
type SettleResult string

// The results. The last three say that the consumer no longer had the message.
const (
	Acknowledged SettleResult = "acknowledged"
	Nacked       SettleResult = "nacked"
	Extended     SettleResult = "extended"
	// LeaseEnded: the lease is over, or was settled otherwise. The message comes again, or
	// has, or has ended.
	LeaseEnded SettleResult = "lease_ended"
	// LeaseCancelled: the delivery was cancelled while it was leased.
	LeaseCancelled SettleResult = "cancelled"
	// UnknownReceipt: this endpoint has given no such receipt, or long ago.
	UnknownReceipt SettleResult = "unknown"
)

// Settled is what became of a receipt.
type Settled struct {
	Receipt string
	Result  SettleResult
	// LeaseUntil is until when the lease lasts now, where it was extended.
	LeaseUntil time.Time
}

// Receipt names a lease. Tenant and endpoint are not in it: they are those of the request
// in which it is shown, so that it opens nothing of another tenant's.
type Receipt struct {
	// Line and Place are where the delivery was leased.
	Line  string
	Place int
	// Lease is the lease's own id, which nobody can guess.
	Lease string
	// Attempt is the number of the attempt.
	Attempt int
	// Own: the delivery has an execution of its own.
	Own        bool
	DeliveryID string
}

const (
	receiptPrefix = "rc1_"
	receiptParts  = 6
	maxReceipt    = 1024
)

// String is the receipt as consumers get it.
func (r Receipt) String() string {
	carrier := "l"
	if r.Own {
		carrier = "d"
	}
	text := strings.Join([]string{r.Line, strconv.Itoa(r.Place), r.Lease, strconv.Itoa(r.Attempt), carrier, r.DeliveryID}, "/")
	return receiptPrefix + base64.RawURLEncoding.EncodeToString([]byte(text))
}

// ParseReceipt is the inverse of [Receipt.String]. It reports false for any other text.
func ParseReceipt(text string) (r Receipt, ok bool) {
	encoded, ok := strings.CutPrefix(text, receiptPrefix)
	if !ok || len(text) > maxReceipt {
		return Receipt{}, false
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return Receipt{}, false
	}
	parts := strings.SplitN(string(decoded), "/", receiptParts)
	if len(parts) != receiptParts {
		return Receipt{}, false
	}
	r = Receipt{Line: parts[0], Lease: parts[2], Own: parts[4] == "d", DeliveryID: parts[5]}
	var placeErr, attemptErr error
	r.Place, placeErr = strconv.Atoi(parts[1])
	r.Attempt, attemptErr = strconv.Atoi(parts[3])
	ok = placeErr == nil && attemptErr == nil && r.Place >= 0 && r.Attempt > 0 && r.Lease != "" &&
		ValidateID("", r.Line) == nil && ValidateDeliveryID("", r.DeliveryID) == nil && r.String() == text
	return r, ok
}
