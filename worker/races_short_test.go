//go:build !integration

package worker_test

import "time"

// receiverTimes are how long the receivers of races take. Slow ones take part in the
// integration tests.
var receiverTimes = []time.Duration{0, time.Second}
