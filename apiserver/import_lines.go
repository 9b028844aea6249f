package apiserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/postdate/postdate"
)

const (
	// lineBuffer is how much of a stream is read at once.
	lineBuffer = 64 << 10
	// maxWaste bounds the bytes of a stream that make no line: those of blank lines, and what
	// is too long. A few packed bytes may stand for very many of them.
	maxWaste = 64 << 20
)

var (
	errLineTooLong = postdate.Errorf(tooLarge, "", "a line has at most %d KiB", maxBody>>10)
	errWaste       = postdate.Errorf(tooLarge, "", "more than %d MiB are blank, or of lines that are too long", maxWaste>>20)
)

// lineReader reads lines one after another, in bounded memory.
type lineReader struct {
	buffer *bufio.Reader
	number int // of the line that was read last, from 1
	line   []byte
	wasted int
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{buffer: bufio.NewReaderSize(r, lineBuffer)}
}

// next returns the next line that is not blank, without its end: it is valid until the next
// call. A line may end with the stream, but only where that ends as it should. The error
// is errLineTooLong of a line that was passed over; others end the stream.
func (r *lineReader) next() ([]byte, error) {
	for {
		size, err := r.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if size == 0 && err != nil {
			return nil, io.EOF
		}
		r.number++
		line := r.line
		if r.number == 1 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		line = bytes.TrimSpace(line)
		tooLong := size > len(r.line)
		if tooLong || len(line) == 0 {
			r.wasted += size
		}
		switch {
		case r.wasted > maxWaste:
			return nil, errWaste
		case tooLong || len(line) > maxBody:
			return nil, errLineTooLong
		case len(line) > 0:
			return line, nil
		}
	}
}

// read reads up to the end of a line into r.line, or as much of it as a line may have, and
// returns how long it is.
func (r *lineReader) read() (size int, err error) {
	r.line = r.line[:0]
	for {
		part, err := r.buffer.ReadSlice('\n')
		size += len(part)
		// What surrounds a line may be longer than the line may be.
		if room := maxBody + lineBuffer - len(r.line); len(part) <= room {
			r.line = append(r.line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return size, err
		}
		if r.wasted+size > 2*maxWaste {
			return size, errWaste
		}
	}
}

// ready reports whether a whole line has been read from the stream already, so that next
// waits for nothing.
func (r *lineReader) ready() bool {
	buffered, _ := r.buffer.Peek(r.buffer.Buffered()) // of what is buffered it never fails
	return bytes.IndexByte(buffered, '\n') >= 0
}
