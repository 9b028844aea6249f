package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// folderLock keeps a data folder to one process: SQLite would let a second one
// in, and two servers would take each other's shards away.
type folderLock struct{ *flock.Flock }

func lockFolder(dir string) (folderLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return folderLock{}, fmt.Errorf("data folder %s: %w", dir, cause(err))
	}
	path := filepath.Join(dir, "lock")
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return folderLock{}, fmt.Errorf("data folder %s: %w", dir, cause(err))
	}
	if !ok {
		owner, _ := os.ReadFile(path)
		return folderLock{}, fmt.Errorf("data folder %s is in use by process %s", dir, strings.TrimSpace(string(owner)))
	}
	// Another process names this one in its error. The lock holds without it too.
	_ = os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o600)
	return folderLock{f}, nil
}

func (l folderLock) release() { _ = l.Unlock() }

// cause leaves out the operation and the path, which the caller names.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
