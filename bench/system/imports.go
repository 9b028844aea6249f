package system

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Import sends messages as the lines of an import of that name, without ids of their own,
// and gives each the id that is answered. It returns how many existed already.
func (p *Postdate) Import(ctx context.Context, name string, messages []*rig.Message) (existed int, err error) {
	body, write := io.Pipe()
	address := "http://" + p.apis[mathrand.IntN(len(p.apis))] + "/v1/schedules/import?import=" + url.QueryEscape(name)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return 0, fmt.Errorf("import: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+p.key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	if p.tenant != "" {
		request.Header.Set("Postdate-Tenant", p.tenant)
	}
	go func() { _ = write.CloseWithError(sendLines(write, messages)) }() // it never fails
	response, err := (&http.Client{}).Do(request)                        // it may take long
	if err != nil {
		return 0, fmt.Errorf("import: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("import: %s", response.Status)
	}
	answered := 0
	for decoder := json.NewDecoder(response.Body); ; answered++ {
		var line struct {
			Line   int    `json:"line"`
			Status int    `json:"status"`
			ID     string `json:"id"`
			Detail string `json:"detail"`
		}
		err := decoder.Decode(&line)
		switch {
		case errors.Is(err, io.EOF) && answered == len(messages):
			return existed, nil
		case errors.Is(err, io.EOF):
			return existed, fmt.Errorf("import: %d of %d lines were answered", answered, len(messages))
		case err != nil:
			return existed, fmt.Errorf("import: %w", err)
		case line.Status == http.StatusOK:
			existed++
		case line.Status != http.StatusCreated:
			return existed, fmt.Errorf("import: line %d: %d %s", line.Line, line.Status, line.Detail)
		}
		messages[line.Line-1].ID, messages[line.Line-1].Accepted = line.ID, time.Now()
	}
}

func sendLines(to io.Writer, messages []*rig.Message) error {
	w := bufio.NewWriterSize(to, 64<<10)
	encoder := json.NewEncoder(w)
	for _, m := range messages {
		in := newSchedule(m)
		in.ID, m.Sent = "", time.Now()
		if err := encoder.Encode(in); err != nil {
			return fmt.Errorf("send a line: %w", err)
		}
	}
	return w.Flush() //nolint:wrapcheck // the pipe's reader knows why it ended
}

// CountImport is how many schedules an import has in each state.
func (p *Postdate) CountImport(ctx context.Context, name string) (map[string]int, error) {
	var status struct {
		States map[string]int `json:"states"`
	}
	err := p.call(ctx, http.MethodGet, "/v1/imports/"+url.PathEscape(name), nil, http.StatusOK, &status)
	return status.States, err
}

// Operate does something to all deliveries that a filter matches: it returns once all are
// changed, and says how many were.
func (p *Postdate) Operate(ctx context.Context, action string, filter map[string]string) (done int, err error) {
	var operation struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Done  int    `json:"done"`
	}
	if err := p.call(ctx, http.MethodPost, "/v1/deliveries/"+action, filter, http.StatusAccepted, &operation); err != nil {
		return 0, err
	}
	for operation.State != "finished" {
		if err := rig.Sleep(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
		if err := p.call(ctx, http.MethodGet, "/v1/operations/"+operation.ID, nil, http.StatusOK, &operation); err != nil {
			return 0, err
		}
	}
	return operation.Done, nil
}
