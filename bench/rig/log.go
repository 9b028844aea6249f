package rig

import (
	"fmt"
	"os"
	"strings"
)

// logFile is where a child process logs. To read a pipe would cost CPU time while
// the child is measured.
type logFile struct{ *os.File }

// logEnd is how much of the log an error shows, in bytes.
const logEnd = 8 << 10

func newLogFile() (logFile, error) {
	f, err := os.CreateTemp("", "postdate-bench-*.log")
	if err != nil {
		return logFile{}, fmt.Errorf("make a file for a log: %w", err)
	}
	return logFile{f}, os.Remove(f.Name()) //nolint:wrapcheck // it names the file, which is gone once nobody has it open
}

// String returns the end of the log.
func (f logFile) String() string {
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	end := make([]byte, min(info.Size(), logEnd))
	n, _ := f.ReadAt(end, info.Size()-int64(len(end))) // what cannot be read is left out
	return strings.TrimSpace(string(end[:n]))
}
