//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFilesLimit is how many files this process may have open: 0 where that is not known.
// The Go runtime has raised it as far as it may.
func openFilesLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, math.MaxInt32)) // it fits, and is signed on some systems
}
