//go:build integration

package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/examples/payments"
)

var picture = flag.String("picture", "", "write a screenshot of the page there")

// TestMain lets the batch job be this program, as it is the demo's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == batchCommand {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// binary is Postdate, built once.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "postdate-demo-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "postdate")
	out, err := exec.Command("go", "build", "-o", path, "github.com/postdate/postdate/cmd/postdate").CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return path, err
})

func short(t *testing.T) Options {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	return Options{
		Binary: path, Requests: 100, First: 4 * time.Second, Window: 8 * time.Second, Every: 3 * time.Second,
		Say: func(format string, args ...any) { t.Logf(format, args...) },
	}
}

// The demo in short: its table must be right, whatever failed.
func TestDemo_EveryRequestIsPaidOrExpiredAndEverybodyIsToldOnce(t *testing.T) { //nolint:paralleltest // each needs a processor to itself
	o := short(t)
	report, err := withPostdate(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, report.check(o))
	require.Equal(t, o.Requests, report.Paid+report.Expired)
	require.GreaterOrEqual(t, report.Expired, o.Requests/2, "half are not paid")
	require.GreaterOrEqual(t, report.Paid, o.Requests/2-o.Requests/20, "half are paid, but for those that raced")
	require.Positive(t, report.Failed)
	require.Positive(t, report.Lost)
	require.Greater(t, report.Total, report.Notified, "what failed came again")
}

func TestDemo_TheBatchJobIsLateAndTellsTwice(t *testing.T) { //nolint:paralleltest // each needs a processor to itself
	o := short(t)
	report, err := withBatchJob(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, o.Requests, report.Paid+report.Expired)
	require.Zero(t, report.Both)
	require.Zero(t, report.Missing)
	require.Positive(t, report.Twice, "an answer that is lost, or a kill, has somebody told twice")
	require.Greater(t, quantile(report.Lateness, 1), time.Second, "it is late by its interval")
	require.Contains(t, table(o, report, report), "batch job, every 3s")
}

// runExample runs the example beside a Postdate, until the test ends.
func runExample(t *testing.T, env []string, c payments.Config) (example *payments.Example, url string) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	p, err := newPostdate(path, t.TempDir())
	require.NoError(t, err)
	p.env = env
	require.NoError(t, p.start(t.Context()))
	t.Cleanup(func() { p.process.stop() })
	key, err := p.key()
	require.NoError(t, err)
	handler := &later{}
	url, stop, err := serve(handler)
	require.NoError(t, err)
	t.Cleanup(stop)
	c.Folder, c.URL, c.Log = t.TempDir(), url, slog.New(slog.DiscardHandler)
	c.API, err = client.New(p.url(), key)
	require.NoError(t, err)
	example, err = payments.New(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(example.Close)
	handler.set(example.Handler())
	running, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); example.Run(running) }()
	t.Cleanup(func() { cancel(); <-ended })
	return example, url
}

// Service B is told by a stream: what is due, and reminders that it asks for again.
func TestServiceB_ListensToAStream(t *testing.T) { //nolint:paralleltest // each needs a processor to itself
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
	require.True(t, broker.ReadyForConnections(30*time.Second))
	conn, err := nats.Connect(broker.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PAYMENTS", Subjects: []string{"payments.*"}})
	require.NoError(t, err)

	example, _ := runExample(t, []string{"POSTDATE_STREAMS=" + fmt.Sprintf(
		`[{"name": "payments", "url": %q, "stream": "PAYMENTS", "subject": "payments.due", "tenants": ["default"]}]`, broker.ClientURL(),
	)}, payments.Config{Stream: "payments", RemindAfter: time.Second, RemindEvery: time.Second})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	listened := make(chan error, 1)
	go func() { listened <- payments.ListenToNATS(ctx, broker.ClientURL(), "PAYMENTS", example.B) }()

	_, err = example.A.Create(t.Context(), payments.Request{ID: "pr_1", From: "John", To: "Doe", Cents: 1200, ExpiresAt: time.Now().Add(4 * time.Second)})
	require.NoError(t, err)
	var report Report
	require.NoError(t, until(t.Context(), time.Minute, "it did not expire", func() bool {
		report, err = read(t.Context(), example.DB, example.Subscribers)
		return err == nil && report.Expired == 1 && report.Missing == 0
	}))
	var reminders int
	require.NoError(t, example.DB.QueryRowContext(t.Context(), `SELECT reminders FROM payment_requests`).Scan(&reminders))
	require.Positive(t, reminders)
	var twice int
	require.NoError(t, example.Subscribers.QueryRowContext(t.Context(), `SELECT COUNT(*) - COUNT(DISTINCT subscriber || message_id) FROM notifications`).Scan(&twice))
	require.Zero(t, twice)
	cancel()
	require.NoError(t, <-listened)
}

// The page in a browser: a request is made and paid there, another expires, and all of it is
// seen without a reload.
func TestPage_ShowsItLive(t *testing.T) { //nolint:paralleltest // each needs a processor to itself
	_, url := runExample(t, nil, payments.Config{RemindAfter: 3 * time.Second, RemindEvery: 10 * time.Second})

	b := openBrowser(t, url)
	b.await(`document.querySelectorAll("#john, #doe").length === 2`)
	require.Equal(t, "Payment requests", b.eval(`document.title`))
	b.eval(`document.querySelector("[data-new='1']").click()`)
	b.await(`document.getElementById("PENDING").textContent === "1"`)
	b.await(`document.getElementById("asleep").textContent === "2"`) // its expiry and its reminder
	b.eval(`document.querySelector("#requests button").click()`)
	b.await(`document.getElementById("PAID").textContent === "1" && document.getElementById("PENDING").textContent === "0"`)
	b.await(`["john", "doe"].every(id => document.getElementById(id).textContent.includes("got: 1") && document.getElementById(id).textContent.includes("paid"))`)

	b.eval(`document.querySelector("[data-new='20']").click()`)
	b.await(`document.getElementById("EXPIRED").textContent * 1 >= 4`)
	b.await(`document.querySelector("#john .REMINDED, #doe .REMINDED") !== null`)
	b.await(`document.querySelector("#john .EXPIRED, #doe .EXPIRED") !== null`)
	require.Equal(t, 21, b.count("PENDING")+b.count("PAID")+b.count("EXPIRED"))
	require.Empty(t, b.eval(`document.getElementById("trouble").textContent`))
	if *picture != "" {
		for range 3 {
			paid := b.count("PAID")
			b.eval(`document.querySelector("#requests button").click()`)
			b.await(fmt.Sprintf(`document.getElementById("PAID").textContent * 1 > %d`, paid))
		}
		require.NoError(t, os.WriteFile(*picture, b.screenshot(), 0o600))
	}
}
