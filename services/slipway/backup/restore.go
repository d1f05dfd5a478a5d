package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotEmpty says that the data folder has streams already.
var ErrNotEmpty = errors.New("the data folder has streams already")

// Restore puts a backup into the data folder, over what is there where force
// says so. The backup is unpacked beside, checked, tried by try, and only then
// takes its place, in one step: whenever the process dies, either the old
// streams are there or the new. Who calls it holds the folder's claim.
func Restore(r io.Reader, data string, force bool, try func(streams string) error) (m Manifest, err error) {
	target := filepath.Join(data, Streams)
	there, err := has(target)
	if err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	if there && !force {
		return m, fmt.Errorf("%w: %s", ErrNotEmpty, target)
	}
	beside, err := os.MkdirTemp(data, temporary)
	if err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	root, err := os.OpenRoot(beside)
	if err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	defer root.Close()
	if m, err = extract(r, root); err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	streams := filepath.Join(beside, Streams)
	if err := try(streams); err != nil {
		return m, fmt.Errorf("restore: %w: its streams can't be opened: %w", ErrInput, err)
	}
	if err := own(streams, data); err != nil {
		return m, fmt.Errorf("restore: give the files to the data folder's owner: %w", err)
	}
	if err := place(streams, target); err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	return m, nil
}

// has says whether anything is in a folder.
func has(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// own gives what root has written to whom the data folder is.
func own(streams, data string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := owner(data)
	if err != nil {
		return err
	}
	return filepath.WalkDir(streams, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, uid, gid)
	})
}

func owner(name string) (uid, gid int, err error) {
	var info unix.Stat_t
	if err := unix.Stat(name, &info); err != nil {
		return 0, 0, fmt.Errorf("ask for the owner of %s: %w", name, err)
	}
	return int(info.Uid), int(info.Gid), nil
}

// place moves a folder to where another may be, which then is where it was.
func place(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		err = os.Rename(from, to)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("this file system can't put one folder in place of another in one step: move %s away and restore again", to)
	}
	if err != nil {
		return fmt.Errorf("put the streams in place: %w", err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
