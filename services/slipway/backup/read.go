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
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Check reads a whole backup and holds everything in it against its manifest.
func Check(r io.Reader) (Manifest, error) {
	return read(r, func(_ string, from io.Reader) error {
		_, err := io.Copy(io.Discard, from)
		return err
	})
}

// extract is [Check] that also writes the files below root, safe on the disk
// when it returns.
func extract(r io.Reader, root *os.Root) (Manifest, error) {
	folders := map[string]bool{".": true}
	m, err := read(r, func(name string, from io.Reader) error {
		for dir := path.Dir(name); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		return write(root, name, from)
	})
	for dir := range folders {
		if err == nil {
			err = syncFolder(root, dir)
		}
	}
	return m, err
}

func write(root *os.Root, name string, from io.Reader) (err error) {
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	out, err := root.OpenFile(filepath.FromSlash(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, from); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func syncFolder(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// read goes through a backup. Errors of the backup itself are [ErrInput].
func read(r io.Reader, each func(name string, from io.Reader) error) (Manifest, error) {
	packed, err := gzip.NewReader(r)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: it does not begin as one (%w)", ErrInput, err)
	}
	t := tar.NewReader(packed)
	m, err := readManifest(t)
	if err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if err := readFile(t, f, each); err != nil {
			return m, err
		}
	}
	if h, err := t.Next(); err == nil {
		return m, fmt.Errorf("%w: %q is not in its manifest", ErrInput, h.Name)
	} else if !errors.Is(err, io.EOF) {
		return m, damaged(err)
	}
	// The sum of the whole stands at its end.
	n, err := io.Copy(io.Discard, io.LimitReader(packed, maxTrailer+1))
	switch {
	case err != nil:
		return m, damaged(err)
	case n > maxTrailer:
		return m, fmt.Errorf("%w: there is something behind its end", ErrInput)
	}
	return m, nil
}

// damaged says what broke off or can't be unpacked.
func damaged(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is cut off", ErrInput)
	}
	return fmt.Errorf("%w: it is damaged: %w", ErrInput, err)
}

func readManifest(t *tar.Reader) (m Manifest, err error) {
	h, err := t.Next()
	if err != nil {
		return m, damaged(err)
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg {
		return m, fmt.Errorf("%w: it begins with %q, not with %s", ErrInput, h.Name, manifestName)
	}
	if h.Size > maxManifest {
		return m, fmt.Errorf("%w: its manifest has %d bytes", ErrInput, h.Size)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return m, damaged(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%w: read its manifest: %w", ErrInput, err)
	}
	if m.Format != format {
		return m, fmt.Errorf("%w: it has format %d, made by slipway %q, and this program reads format %d: use that version", ErrInput, m.Format, m.Version, format)
	}
	return m, m.check()
}

// check holds the names and sizes of a manifest.
func (m Manifest) check() error {
	seen := map[string]bool{}
	for _, f := range m.Files {
		switch {
		case !fs.ValidPath(f.Name) || !strings.HasPrefix(f.Name, Streams+"/") || strings.ContainsAny(f.Name, "\\\x00"):
			return fmt.Errorf("%w: %q is not a path below %s/", ErrInput, f.Name, Streams)
		case seen[f.Name]:
			return fmt.Errorf("%w: %q is in its manifest twice", ErrInput, f.Name)
		case f.Size < 0:
			return fmt.Errorf("%w: %q has %d bytes", ErrInput, f.Name, f.Size)
		}
		seen[f.Name] = true
	}
	if len(m.Files) == 0 {
		return fmt.Errorf("%w: there is nothing in it", ErrInput)
	}
	return nil
}

// readFile reads the next entry, which must be f.
func readFile(t *tar.Reader, f File, each func(name string, from io.Reader) error) error {
	h, err := t.Next()
	if err != nil {
		return damaged(err)
	}
	if h.Name != f.Name || h.Typeflag != tar.TypeReg || h.Size != f.Size {
		return fmt.Errorf("%w: %q (%d bytes) stands where its manifest has %q (%d bytes)", ErrInput, h.Name, h.Size, f.Name, f.Size)
	}
	from := &summed{from: t, sum: sha256.New()}
	err = each(f.Name, from)
	switch {
	case from.failed != nil:
		return damaged(from.failed)
	case err != nil:
		return err
	case hex.EncodeToString(from.sum.Sum(nil)) != f.SHA256:
		return fmt.Errorf("%w: %s is damaged: its checksum is another", ErrInput, f.Name)
	}
	return nil
}

// summed tells errors of the backup from those of who writes.
type summed struct {
	from   io.Reader
	sum    hash.Hash
	failed error
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.sum.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}
