//go:build integration

package worker_test

import "time"

// receiverTimes are how long the receivers of races take.
var receiverTimes = []time.Duration{0, time.Second, 6 * time.Second, 20 * time.Second}
