package apiserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/eventually"
)

// importing is an import that is under way over a connection.
type importing struct {
	t      *testing.T
	body   *io.PipeWriter
	answer chan *http.Response
	lines  *bufio.Scanner
	cut    context.CancelFunc
}

// serve is the API behind a server, whose connections are real.
func (a *api) serve() *httptest.Server {
	server := httptest.NewUnstartedServer(a.handler)
	server.Config.ReadTimeout = time.Minute
	server.Start()
	a.t.Cleanup(server.Close)
	return server
}

func (a *api) importing(server *httptest.Server, query string) *importing {
	a.t.Helper()
	body, write := io.Pipe()
	ctx, cut := context.WithCancel(a.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/schedules/import"+query, body)
	require.NoError(a.t, err)
	request.Header.Set("Authorization", "Bearer "+adminKey)
	request.Header.Set("Postdate-Tenant", a.tenant)
	request.Header.Set("Content-Type", "application/x-ndjson")
	i := &importing{t: a.t, body: write, answer: make(chan *http.Response, 1), cut: cut}
	go func() {
		response, err := server.Client().Do(request) //nolint:bodyclose // see next
		if err == nil {
			i.answer <- response
		}
	}()
	a.t.Cleanup(func() { cut(); _ = write.Close() })
	return i
}

func (i *importing) send(lines ...string) {
	i.t.Helper()
	_, err := io.WriteString(i.body, strings.Join(lines, "\n")+"\n")
	require.NoError(i.t, err)
}

// next is the next line of the answer: nil at its end.
func (i *importing) next() *apiserver.ImportedLine {
	i.t.Helper()
	if i.lines == nil {
		response := <-i.answer
		require.Equal(i.t, http.StatusOK, response.StatusCode)
		i.t.Cleanup(func() { _ = response.Body.Close() })
		i.lines = bufio.NewScanner(response.Body)
	}
	if !i.lines.Scan() {
		return nil
	}
	var line apiserver.ImportedLine
	require.NoError(i.t, json.Unmarshal(i.lines.Bytes(), &line))
	return &line
}

func TestImport_AnswersWhileItIsSent(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	i := a.importing(a.serve(), "?import=slow")
	for n := 1; n <= 3; n++ {
		i.send(message{"delay": "1h"}.String())
		line := i.next()
		require.Equal(t, n, line.Line)
		require.Equal(t, http.StatusCreated, line.Status)
		require.Equal(t, "slow", a.get(line.ID).Import)
	}
	i.send(message{"id": "twice", "delay": "1h"}.String(), message{"id": "twice", "delay": "2h"}.String(), message{"id": "twice", "delay": "1h"}.String())
	require.NoError(t, i.body.Close())
	for _, status := range []int{http.StatusCreated, http.StatusConflict, http.StatusOK} {
		require.Equal(t, status, i.next().Status, "the first of an id is created")
	}
	require.Nil(t, i.next())
	require.NoError(t, i.lines.Err())
	a.listed(4, "import", "slow")
	var status apiserver.ImportStatus
	eventually.True(t, func() bool {
		a.do(http.MethodGet, "/v1/imports/slow", "").is(http.StatusOK).decode(&status)
		return status.Total == 4
	})
	require.Equal(t, map[string]int{"scheduled": 4}, status.States)
}

// Whoever sends the same file twice at once gets each schedule once.
func TestImport_OfTheSameTwiceAtOnceMakesEachOnce(t *testing.T) {
	t.Parallel()
	const n = 150
	a := newAPI(t)
	server := a.serve()
	both := []*importing{a.importing(server, "?import=same"), a.importing(server, "?import=same")}
	lines := make([]string, n)
	for i := range lines {
		lines[i] = message{"due_at": "2060-01-01T00:00:00Z", "data": i}.String()
	}
	for _, i := range both {
		go func() {
			_, _ = io.WriteString(i.body, strings.Join(lines, "\n"))
			_ = i.body.Close()
		}()
	}
	created, ids := 0, make(map[string]int)
	for _, i := range both {
		for line := i.next(); line != nil; line = i.next() {
			require.Contains(t, []int{http.StatusOK, http.StatusCreated}, line.Status, line.Detail)
			ids[line.ID]++
			if line.Status == http.StatusCreated {
				created++
			}
		}
	}
	require.LessOrEqual(t, created, n)
	require.Len(t, ids, n)
}

func TestImport_OfAClientThatGoesAwayEnds(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := a.serve()
	i := a.importing(server, "")
	i.send(message{"id": "before", "delay": "1h"}.String())
	require.Equal(t, "before", i.next().ID)
	_, _ = io.WriteString(i.body, `{"type":"half of a li`)
	i.cut()
	server.Close() // returns once no request is under way
	require.Equal(t, postdate.Scheduled, a.get("before").State)
}

func TestImport_StopsReadingWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	a := newAPI(t, func(c *apiserver.Config) { c.Stopping = stopping })
	i := a.importing(a.serve(), "")
	i.send(message{"id": "read", "delay": "1h"}.String())
	require.Equal(t, "read", i.next().ID)
	close(stopping)
	last := i.next()
	require.Equal(t, http.StatusServiceUnavailable, last.Status)
	require.Equal(t, 2, last.Line)
	require.Nil(t, i.next())
}

func TestImport_IsBoundedForEachTenant(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := a.serve()
	for n := range 8 {
		i := a.importing(server, fmt.Sprintf("?import=i%d", n))
		i.send(message{"delay": "1h"}.String())
		require.Equal(t, http.StatusCreated, i.next().Status)
	}
	a.do(http.MethodPost, "/v1/schedules/batch", `{"schedules":[`+message{"delay": "1h"}.String()+`]}`).
		problem(http.StatusTooManyRequests, postdate.TooManyRequests)
	b := newAPI(t)
	b.do(http.MethodPost, "/v1/schedules/batch", `{"schedules":[`+message{"delay": "1h"}.String()+`]}`).is(http.StatusOK)
}

func TestBatch_RepeatedMakesNothingTwice(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := `{"schedules":[` + message{"delay": "1h"}.String() + `,` + message{"id": "own", "delay": "1h"}.String() + `,{"type":""},` +
		message{"id": "own", "delay": "2h"}.String() + `]}`
	for _, statuses := range [][]int{{201, 201, 422, 409}, {200, 200, 422, 409}} {
		var batch apiserver.ScheduledBatch
		a.do(http.MethodPost, "/v1/schedules/batch", body, "Idempotency-Key", "k").is(http.StatusOK).decode(&batch)
		for place, status := range statuses {
			require.Equal(t, status, batch.Data[place].Status, "%+v", batch.Data[place])
		}
	}
	a.listed(2)
}

func TestPostpone_PutsOffWhatMatches(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	due := time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	a.create(message{"id": "x", "due_at": due, "entity": "e"})
	a.create(message{"id": "y", "due_at": due, "entity": "f"})
	a.listed(2)
	postpone := func(fields message) answer { return a.do(http.MethodPost, "/v1/deliveries/postpone", fields.json()) }
	postpone(message{"by": "24h"}).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	postpone(message{"by": "-24h", "entity": "e"}).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	var operation apiserver.Operation
	postpone(message{"by": "24h", "entity": "e", "dry_run": true}).is(http.StatusOK).decode(&operation)
	require.Equal(t, 1, operation.Found)
	postpone(message{"by": "24h", "entity": "e"}).is(http.StatusAccepted).decode(&operation)
	require.Equal(t, 1, a.swept(operation.ID).Done)
	require.Equal(t, due.Add(24*time.Hour), a.get("x").DueAt)
	require.Equal(t, due, a.get("y").DueAt)
}
