package main

import (
	"log/slog"
	"net"

	"golang.org/x/net/netutil"
)

const (
	// filesBeside are kept free of connections: for the database, Temporal, and listeners.
	filesBeside = 512
	// filesKept are the connections that the sender keeps for the next attempts.
	filesKept = 1024
	// Between minConnections and maxConnections are accepted, and there should be files for
	// enoughConnections.
	minConnections    = 64
	enoughConnections = 1024
	maxConnections    = 16_384
)

// connectionLimit is how many connections may be accepted of so many files, such that
// attempts, and all else, have theirs. It reports whether that is enough.
func connectionLimit(files, attempts int) (limit int, enough bool) {
	if files <= 0 { // not known here
		return maxConnections, true
	}
	left := files - filesBeside - filesKept - attempts
	return min(max(left, minConnections), maxConnections), left >= enoughConnections
}

// limitConnections bounds the connections that are accepted from socket below the limit
// of open files, which attempts and the database need too. Further ones wait.
func (p process) limitConnections(socket net.Listener) net.Listener {
	attempts := 0
	if p.worker {
		attempts = p.WorkerSlots
	}
	files := openFilesLimit()
	limit, enough := connectionLimit(files, attempts)
	if !enough {
		p.log.Warn("the limit of open files is low: raise it (ulimit -n), or lower POSTDATE_WORKER_SLOTS",
			slog.Int("limit", files), slog.Int("wanted", filesBeside+filesKept+attempts+enoughConnections),
			slog.Int("connections", limit))
	}
	return netutil.LimitListener(socket, limit)
}
