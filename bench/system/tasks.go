package system

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// longTask is the boundary in seconds, as it stands in the metrics, above which a workflow
// task of an endpoint counts as long: nothing in it waits for anything.
const longTask = `le="0.2"`

// LongTasks returns how many workflow tasks of endpoints took longer than 200 ms, by the
// SDK's own metric, in all processes that have an API.
func (p *Postdate) LongTasks(ctx context.Context) (int, error) {
	total := 0
	for _, api := range p.apis {
		n, err := p.longTasks(ctx, "http://"+api+"/metrics")
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (p *Postdate) longTasks(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	long := 0
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		long += longTasksIn(lines.Text())
	}
	return long, lines.Err()
}

// longTasksIn is what a line of the metrics adds to the long tasks: all that it counts, or
// less those that were short enough.
func longTasksIn(line string) int {
	name, value, _ := strings.Cut(line, "} ")
	labelled, ok := strings.CutPrefix(name, "temporal_workflow_task_execution_latency")
	if !ok || !strings.Contains(labelled, `workflow_type="Endpoint"`) {
		return 0
	}
	n, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil:
		return 0
	case strings.Contains(labelled, "_count{"):
		return int(n)
	case strings.Contains(labelled, "_bucket{") && strings.Contains(labelled, longTask):
		return -int(n)
	}
	return 0
}
