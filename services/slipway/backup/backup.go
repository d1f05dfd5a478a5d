// Package backup keeps the data folder of `slipway up` in one file, and puts it
// back: what JetStream has, which is every event, the work under way and the
// small state of the services. Mirrors of Git and charts are left out, since
// they are fetched anew, and so is the bus's token, since it is drawn anew: a
// backup holds no credentials.
package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Streams is the folder of JetStream's files: in the data folder, and in a
// backup.
const Streams = "jetstream"

// ErrInput says that a file is no backup, or is damaged; nothing was changed.
var ErrInput = errors.New("this is no backup that can be restored")

const (
	// format is the version of the layout; it changes when old programs could
	// not read new backups.
	format = 1
	// manifestName is the first entry.
	manifestName = "slipway-backup.json"
	// maxManifest bounds the manifest, in bytes: about 500,000 files.
	maxManifest = 64 << 20
	// maxTrailer bounds what follows the last file, in bytes: tar fills up its
	// last block.
	maxTrailer = 64 << 10
)

// Manifest tells what is in a backup.
type Manifest struct {
	Format int `json:"format"`
	// Version is that of the program which made the backup.
	Version string    `json:"version"`
	Made    time.Time `json:"made"`
	// PausedMs is for how long the bus stood still for it, in milliseconds;
	// zero where nothing ran.
	PausedMs int64  `json:"pausedMs"`
	Files    []File `json:"files"`
}

// File is one part of a backup.
type File struct {
	Name   string `json:"name"` // with slashes, below the data folder
	Size   int64  `json:"size"` // in bytes
	SHA256 string `json:"sha256"`
}

// Bytes is the size of all files.
func (m Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Write makes a backup of the streams below dir, in which nobody writes
// meanwhile. Of m it fills what is found there.
func Write(w io.Writer, dir string, m Manifest) (Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	defer root.Close()
	m.Format = format
	if m.Files, err = list(root); err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	head, err := json.Marshal(m)
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	t := tar.NewWriter(packed)
	err = add(t, File{Name: manifestName, Size: int64(len(head))}, m.Made, bytes.NewReader(head))
	for _, f := range m.Files {
		if err == nil {
			err = addFile(t, root, f, m.Made)
		}
	}
	if err == nil {
		err = t.Close()
	}
	if err == nil {
		err = packed.Close()
	}
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	return m, nil
}

// list finds the files, in the order of their names.
func list(root *os.Root) (files []File, err error) {
	err = fs.WalkDir(root.FS(), Streams, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
			return err
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", name)
		}
		f, err := sum(root, name)
		files = append(files, f)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no streams: `slipway up` has not run with this data folder", root.Name())
	}
	return files, err
}

func sum(root *os.Root, name string) (File, error) {
	f := File{Name: name}
	in, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return f, err
	}
	defer in.Close()
	h := sha256.New()
	if f.Size, err = io.Copy(h, in); err != nil {
		return f, fmt.Errorf("read %s: %w", name, err)
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

func addFile(t *tar.Writer, root *os.Root, f File, made time.Time) error {
	in, err := root.Open(filepath.FromSlash(f.Name))
	if err != nil {
		return err
	}
	defer in.Close()
	return add(t, f, made, in)
}

func add(t *tar.Writer, f File, made time.Time, from io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o600, ModTime: made, Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	if _, err := io.Copy(t, from); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	return nil
}
