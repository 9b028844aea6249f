package activities

import (
	"strconv"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Remember remembers an attempt of each of n runs. It returns how many bytes and runs are
// remembered then, and whether the newest is among them.
func Remember(n int, attempt postdate.Attempt) (bytes, runs int, newest bool) {
	var memory sentMemory
	for i := range n {
		s, _ := memory.begin(strconv.Itoa(i), 1)
		memory.end(s, []protocol.GroupAttempt{{Attempt: attempt}})
	}
	_, first := memory.begin(strconv.Itoa(n-1), 1)
	return memory.bytes, len(memory.byRun), !first
}
