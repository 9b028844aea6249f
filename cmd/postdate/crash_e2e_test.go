package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// TestAKillDelaysNoRetryByItsTimeout kills the process during a retry that may take a
// minute: the next process makes it again long before that.
func TestAKillDelaysNoRetryByItsTimeout(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.answer(http.StatusConflict)
	p := newDevProcess(t)
	p.paced(c.URL, map[string]any{"timeout": "60s"})
	id := p.batch(1, "killed")[0]
	tries := func(n int) {
		t.Helper()
		eventually.True(t, func() bool {
			_, _, tries := c.seen()
			return tries == n
		})
	}
	tries(1)
	c.shut()
	c.answer(http.StatusNoContent)
	tries(2)
	killed := time.Now()
	p.stop(syscall.SIGKILL)
	p.start()
	c.open()
	eventually.True(t, func() bool { return c.has(id) == 1 })
	require.Less(t, time.Since(killed), 40*time.Second)
}
