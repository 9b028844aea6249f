package signature_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/postdate/postdate/signature"
)

// A receiver verifies the bytes that arrived, before it reads anything in them.
func ExampleVerify() {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1893456000, 0)
	body := []byte(`{"type":"payment_request.expired","timestamp":"2030-01-01T00:00:00Z","data":{"id":"pr_123"}}`)

	header := http.Header{}
	header.Set(signature.HeaderID, "evt_1")
	header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(signature.HeaderSignature, signature.Sign("evt_1", now, body, secret))

	fmt.Println(signature.Verify(header, body, now, signature.DefaultTolerance, secret))

	err = signature.Verify(header, body, now.Add(time.Hour), signature.DefaultTolerance, secret)
	fmt.Println(errors.Is(err, signature.ErrTooOld), err)
	// Output:
	// <nil>
	// true sent too long ago: 1h0m0s ago, where 5m0s are allowed
}

// Each tenant gets a secret of its own from the one that the operator keeps.
func ExampleSecret_Derive() {
	operators, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	acme := operators.Derive("tenant/acme")
	fmt.Println(acme)
	fmt.Println(acme.Reveal())
	// Output:
	// whsec_REDACTED
	// whsec_UjNuWXG4rX/iU4PxmPLOYGTpXl+E4wCumMHnImc+eDM=
}
