// Package importer reads schedules from files and sends them to the API's import: what
// stands behind "postdate import". It goes on where a connection broke, and keeps in memory
// no more than what was not answered yet.
package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Line is one schedule of a file.
type Line struct {
	// Number is that of the line of the file on which it stands, from 1.
	Number int
	// Text is the schedule as JSON.
	Text []byte
	// Reject says why it cannot be sent: empty of one that can.
	Reject string
}

// rejected is what became of a line that cannot be sent.
func (l Line) rejected() Result {
	return Result{Line: l.Number, Status: http.StatusBadRequest, Code: "malformed", Detail: l.Reject}
}

// Source reads the schedules of a file, one after another. At the end it returns [io.EOF].
// An error of any other kind ends it too.
type Source interface {
	Next() (Line, error)
}

// The formats of files.
const (
	NDJSON = "ndjson"
	CSV    = "csv"
)

// maxText bounds a line: the API takes no schedule that is longer.
const maxText = 256 << 10

var byteOrderMark = []byte("\ufeff")

// Open reads r, which is in a format, packed by gzip or not.
func Open(r io.Reader, format string) (Source, error) {
	buffer := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := buffer.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // a shorter file is not packed
		unpacked, err := gzip.NewReader(buffer)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		buffer = bufio.NewReaderSize(unpacked, 64<<10)
	}
	if mark, _ := buffer.Peek(len(byteOrderMark)); bytes.Equal(mark, byteOrderMark) {
		_, _ = buffer.Discard(len(mark)) // it is buffered
	}
	switch format {
	case NDJSON:
		return &lines{buffer: buffer}, nil
	case CSV:
		return newTable(buffer)
	default:
		return nil, fmt.Errorf("the format %q is not known: %s or %s", format, NDJSON, CSV)
	}
}

// lines is a file with a schedule to a line.
type lines struct {
	buffer *bufio.Reader
	number int
}

// Next returns the next line that is not blank.
func (l *lines) Next() (Line, error) {
	for {
		text, tooLong, err := l.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return Line{}, fmt.Errorf("line %d: %w", l.number+1, err)
		}
		if len(text) == 0 && err != nil {
			return Line{}, io.EOF
		}
		l.number++
		text = bytes.TrimSpace(text)
		if tooLong || len(text) > maxText {
			return Line{Number: l.number, Reject: fmt.Sprintf("has more than %d KiB", maxText>>10)}, nil
		}
		if len(text) > 0 {
			return Line{Number: l.number, Text: text}, nil
		}
	}
}

// read reads to the end of a line. What is too long is passed over.
func (l *lines) read() (text []byte, tooLong bool, err error) {
	for {
		part, err := l.buffer.ReadSlice('\n')
		if len(text)+len(part) <= 2*maxText {
			text = append(text, part...)
		} else {
			tooLong = true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, tooLong, err //nolint:wrapcheck // its caller adds the line
		}
	}
}
