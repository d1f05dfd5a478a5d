package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	lockName = "lock"
	// temporary begins the names of folders that go when their work is done.
	temporary = ".slipway-"
)

// ErrInUse says that another process has the data folder.
var ErrInUse = errors.New("another process uses this data folder")

// Claim is the sole use of a data folder; it ends with the process.
type Claim struct{ lock *os.File }

// Take claims a data folder, which is made where it is missing, and clears what
// a process that died has left in it. The error is [ErrInUse] where another
// process has it.
func Take(data string) (*Claim, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, unwritable(data, err)
	}
	lock, err := os.OpenFile(filepath.Join(data, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unwritable(data, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, data)
		}
		return nil, fmt.Errorf("lock the data folder %s: %w", data, err)
	}
	// Who backs up as root must not keep the service out.
	if err := own(lock.Name(), data); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock the data folder %s: %w", data, err)
	}
	left, err := filepath.Glob(filepath.Join(data, temporary+"*"))
	for _, name := range left {
		err = errors.Join(err, os.RemoveAll(name))
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("clear the data folder: %w", err)
	}
	return &Claim{lock}, nil
}

// Release ends the claim.
func (c *Claim) Release() { c.lock.Close() }

// unwritable says why nothing can be kept, and what to do.
func unwritable(data string, err error) error {
	what := "the data folder %s can't be written to: %w"
	switch {
	case errors.Is(err, syscall.EROFS):
		what += " (mount it to be written to, or name another folder as data in the config)"
	case errors.Is(err, fs.ErrPermission):
		what += fmt.Sprintf(" (give it to the user that runs slipway, whose id is %d, or name another folder as data in the config)", os.Geteuid())
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		what += " (make room on its disk)"
	}
	return fmt.Errorf(what, data, err)
}

// Copy makes a copy of the data folder's streams in it, in which nobody writes;
// end removes it.
func Copy(data string) (dir string, end func() error, err error) {
	dir, err = os.MkdirTemp(data, temporary)
	if err != nil {
		return "", nil, fmt.Errorf("copy the streams: %w", err)
	}
	end = func() error { return os.RemoveAll(dir) }
	if err := os.CopyFS(filepath.Join(dir, Streams), os.DirFS(filepath.Join(data, Streams))); err != nil {
		return "", nil, errors.Join(fmt.Errorf("copy the streams: %w", err), end())
	}
	return dir, end, nil
}
