package automator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

// Edit is one file that [Set] changes.
type Edit struct {
	// Path is below the folder that was given, with slashes.
	Path        string
	Before, Now []byte
	mode        fs.FileMode
	file        string
}

// Write puts the new bytes in place of the old, all or none.
func (e Edit) Write() error {
	tmp, err := os.CreateTemp(filepath.Dir(e.file), ".slipway-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", e.file, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(e.Now)
	for _, step := range []func() error{tmp.Close, func() error { return os.Chmod(tmp.Name(), e.mode) }, func() error { return os.Rename(tmp.Name(), e.file) }} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", e.file, err)
	}
	return nil
}

// Set finds the edits that set a folder's references, as the automator would
// make them. References are REPO[:TAG][@DIGEST]. Nothing is written; problems
// are references that can't be edited safely, each with file and line.
func Set(ctx context.Context, dir string, references []string) (edits []Edit, problems []error, err error) {
	images, err := targets(references)
	if err != nil {
		return nil, nil, err
	}
	// The whole disk is the repository, since an overlay's bases may lie
	// above the folder; only what is below it is written.
	absolute, err := filepath.Abs(dir)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if info, err := os.Stat(absolute); err != nil || !info.IsDir() {
		return nil, nil, fmt.Errorf("%w: %s is not a folder", ErrInput, dir)
	}
	root := path.Clean(strings.TrimPrefix(filepath.ToSlash(absolute), "/"))
	r, err := manifest.Folder{FS: os.DirFS("/"), Path: root}.Set(ctx, images)
	if err != nil {
		return nil, nil, err
	}
	for name, now := range r.Files {
		e, err := newEdit(root, name, now)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		edits = append(edits, e)
	}
	slices.SortFunc(edits, func(a, b Edit) int { return strings.Compare(a.Path, b.Path) })
	problems = append(r.Problems, problems...)
	for i, p := range problems {
		problems[i] = below{p, root + "/"}
	}
	return edits, problems, nil
}

// below is an error that names files as Edit.Path does.
type below struct {
	error
	root string
}

func (b below) Error() string { return strings.ReplaceAll(b.error.Error(), b.root, "") }
func (b below) Unwrap() error { return b.error }

// targets reads what references are to be set to.
func targets(references []string) (images []events.Image, err error) {
	for _, s := range references {
		image, err := events.ParseImage(s, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if image.Reference() == "" {
			return nil, fmt.Errorf("%w: %s has neither a tag nor a digest to set", ErrInput, s)
		}
		if slices.ContainsFunc(images, func(i events.Image) bool { return i.Repository == image.Repository }) {
			return nil, fmt.Errorf("%w: %s is given twice", ErrInput, image.Repository)
		}
		images = append(images, image)
	}
	return images, nil
}

func newEdit(root, name string, now []byte) (Edit, error) {
	e := Edit{Path: name, Now: now, file: "/" + name}
	if root != "." {
		e.Path = strings.TrimPrefix(name, root+"/")
	}
	info, err := os.Lstat(e.file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file any more")
	}
	if err == nil {
		e.mode = info.Mode().Perm()
		e.Before, err = os.ReadFile(e.file)
	}
	if err != nil {
		return e, fmt.Errorf("read %s: %w", e.file, err)
	}
	return e, nil
}
