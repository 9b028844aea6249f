package main

import (
	"bytes"
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConnectionLimit_LeavesFilesForAttempts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		files, attempts, limit int
		enough                 bool
	}{
		{1024, 1000, 64, false},
		{4096, 1000, 1560, true},
		{4096, 0, 2560, true},
		{1 << 20, 1000, 16_384, true},
		{0, 1000, 16_384, true},
	} {
		limit, enough := connectionLimit(test.files, test.attempts)
		require.Equal(t, test.limit, limit)
		require.Equal(t, test.enough, enough)
	}
}

func TestLimitConnections_LooksAtTheLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	require.Positive(t, openFilesLimit())
	var log bytes.Buffer
	p := process{roles: roles{worker: true}, log: slog.New(slog.NewTextHandler(&log, nil))}
	p.WorkerSlots = openFilesLimit()
	socket, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, p.limitConnections(socket).Close())
	require.Contains(t, log.String(), "the limit of open files is low")
}
