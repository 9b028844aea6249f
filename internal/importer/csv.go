package importer

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// table is a file with a header, whose columns are the fields of schedules.
type table struct {
	reader  *csv.Reader
	columns []column
}

// column is a field of a schedule.
type column struct {
	path []string // "data.customer.id" has three
	kind string   // of its cells: "" of text
}

// fields are those of a schedule that a column may name, by itself or with a part of it.
var fields = []string{
	"id", "entity", "type", "data", "to", "due_at", "delay", "due_at_local", "time_zone", "dst", "spread", "retry", "timeout", "expires_at",
}

// newTable reads the header.
func newTable(r io.Reader) (*table, error) {
	t := &table{reader: csv.NewReader(r)}
	t.reader.FieldsPerRecord = -1
	t.reader.ReuseRecord = true
	header, err := t.reader.Read()
	if err != nil {
		return nil, fmt.Errorf("read the header of the CSV file: %w", err)
	}
	seen := make(map[string]bool)
	for _, name := range header {
		c, err := parseColumn(name)
		if err != nil {
			return nil, err
		}
		joined := strings.Join(c.path, ".")
		for other := range seen {
			if other == joined || strings.HasPrefix(other, joined+".") || strings.HasPrefix(joined, other+".") {
				return nil, fmt.Errorf("the header names %q twice", joined)
			}
		}
		seen[joined] = true
		t.columns = append(t.columns, c)
	}
	return t, nil
}

// parseColumn reads the name of a column: a path, and the kind of its cells after a colon.
func parseColumn(name string) (column, error) {
	path, kind, _ := strings.Cut(strings.TrimSpace(name), ":")
	c := column{path: strings.Split(path, "."), kind: kind}
	switch {
	case !slices.Contains([]string{"", "text", "number", "bool", "json"}, kind):
		return c, fmt.Errorf("the column %q is of no kind that is known: write :number, :bool or :json, or nothing for text", name)
	case slices.Contains(c.path, ""):
		return c, fmt.Errorf("the header has a column without a name, or with an empty part: %q", name)
	case !slices.Contains(fields, c.path[0]):
		return c, fmt.Errorf("the column %q is no field of a schedule: those are %s; what the receiver gets is in columns such as data.customer",
			name, strings.Join(fields, ", "))
	}
	return c, nil
}

// Next returns the next record as a schedule.
func (t *table) Next() (Line, error) {
	record, err := t.reader.Read()
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		return Line{Number: broken.StartLine, Reject: fmt.Sprintf("line %d, column %d: %s", broken.Line, broken.Column, broken.Err)}, nil
	}
	if errors.Is(err, io.EOF) {
		return Line{}, io.EOF
	}
	if err != nil {
		return Line{}, fmt.Errorf("read the CSV file: %w", err)
	}
	line := Line{}
	line.Number, _ = t.reader.FieldPos(0)
	if len(record) != len(t.columns) {
		return reject(line, record, fmt.Sprintf("has %d fields, and the header %d", len(record), len(t.columns)))
	}
	schedule := make(map[string]any)
	for i, cell := range record {
		if cell == "" { // a field that is missing
			continue
		}
		value, err := t.columns[i].value(cell)
		if err != nil {
			return reject(line, record, fmt.Sprintf("%s: %s", strings.Join(t.columns[i].path, "."), err))
		}
		set(schedule, t.columns[i].path, value)
	}
	line.Text, err = json.Marshal(schedule)
	if err == nil && len(line.Text) > maxText {
		line.Reject = fmt.Sprintf("has more than %d KiB", maxText>>10)
	}
	if err != nil {
		return Line{}, fmt.Errorf("line %d: %w", line.Number, err)
	}
	return line, nil
}

// reject is the line of a record that cannot be sent, with its cells.
func reject(line Line, record []string, reason string) (Line, error) {
	var err error
	line.Reject = reason
	if line.Text, err = json.Marshal(record); err != nil {
		return line, fmt.Errorf("line %d: %w", line.Number, err)
	}
	return line, nil
}

// value is what a cell holds. Nothing is guessed: it is text unless its column says more.
func (c column) value(cell string) (any, error) {
	switch c.kind {
	case "number":
		if !json.Valid([]byte(cell)) || !strings.ContainsAny(cell[:1], "-0123456789") {
			return nil, fmt.Errorf("%q is no number: write it as JSON does", cell)
		}
		return json.Number(cell), nil
	case "bool":
		value, err := strconv.ParseBool(strings.ToLower(cell))
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", cell)
		}
		return value, nil
	case "json":
		if !json.Valid([]byte(cell)) {
			return nil, fmt.Errorf("%q is not JSON", cell)
		}
		return json.RawMessage(cell), nil
	default:
		return cell, nil
	}
}

// set sets the value at a path, and makes the objects on the way to it.
func set(object map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		within, ok := object[name].(map[string]any)
		if !ok {
			within = make(map[string]any)
			object[name] = within
		}
		object = within
	}
	object[path[len(path)-1]] = value
}
