package postdate_test

import (
	"fmt"
	"time"

	"github.com/postdate/postdate"
)

// A schedule is valid, or says which field is at fault.
func ExampleSchedule_Validate() {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	schedule := postdate.Schedule{
		Type:      "payment_request.due",
		DueAt:     new(now.Add(time.Hour)),
		ExpiresAt: new(now.Add(time.Minute)),
		To:        postdate.Destination{URL: "https://b.example/hooks"},
	}
	err := schedule.Validate(now, false)
	fmt.Println(postdate.CodeOf(err))
	fmt.Println(err)
	// Output:
	// invalid
	// /expires_at: expires before it is due (2026-12-01T10:00:00Z)
}

// A retry policy says how long to wait after each attempt, until it is over.
func ExampleRetry_Wait() {
	retry := postdate.Retry{Schedule: []postdate.Duration{
		postdate.Duration(5 * time.Second), postdate.Duration(5 * time.Minute),
	}}
	for made := 1; ; made++ {
		wait, more := retry.Wait(made)
		if !more {
			fmt.Printf("after attempt %d it is over\n", made)
			return
		}
		fmt.Printf("after attempt %d it waits %s\n", made, wait)
	}
	// Output:
	// after attempt 1 it waits 5s
	// after attempt 2 it waits 5m0s
	// after attempt 3 it is over
}

// Durations are read in Go's form and in that of ISO 8601.
func ExampleParseDuration() {
	for _, text := range []string{"1h30m", "PT1H30M", "P2D"} {
		d, err := postdate.ParseDuration(text)
		fmt.Println(d, err)
	}
	// Output:
	// 1h30m0s <nil>
	// 1h30m0s <nil>
	// 48h0m0s <nil>
}

// A secret does not show, however it is printed.
func ExampleSecret() {
	secret := postdate.Secret("whsec_c2VjcmV0")
	fmt.Printf("%s %v %q\n", secret, secret, secret)
	fmt.Println(secret.Reveal())
	// Output:
	// [secret] [secret] [secret]
	// whsec_c2VjcmV0
}
