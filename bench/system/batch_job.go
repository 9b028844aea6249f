package system

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// batchJob is the batch job in a process of its own: a table of due rows, and a loop
// that scans it at intervals.
type batchJob struct {
	solo
	rowPublisher

	every time.Duration
}

// startBatchJob is for one with so many senders.
func startBatchJob(senders int) starter {
	return func(ctx context.Context, c Config, r *rig.Rig, database string) (System, error) {
		ports, err := rig.FreePorts(ctx, 1)
		if err != nil {
			return nil, err
		}
		b := &batchJob{every: c.BatchEvery, rowPublisher: rowPublisher{
			url: "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/", http: keepingConnections(time.Minute, c.Clients),
		}}
		b.Process, err = rig.StartSelf(ctx, "the batch job", b.url, batchCommand,
			"--db", filepath.Join(r.Dir, "batch.db"), "--postgres", database, "--http", ports[0],
			"--every", b.every.String(), "--senders", strconv.Itoa(senders))
		return b, err
	}
}

// aim puts the instant due in the middle between two scans, so that its lateness is
// what users see on average. It returns when the later scan is.
func (b *batchJob) aim(ctx context.Context, due time.Time) (time.Time, error) {
	next := due.Add(b.every / 2)
	return next, b.scanAt(ctx, next)
}

// scanAt sets when the next scan is; the others follow at the job's interval.
func (b *batchJob) scanAt(ctx context.Context, at time.Time) error {
	query := url.Values{"at": {strconv.FormatInt(at.UnixMilli(), 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.url+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("set the next scan: %w", err)
	}
	return expectNoContent(b.http, req)
}
