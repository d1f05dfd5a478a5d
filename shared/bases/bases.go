// Package bases is what is known of what kustomizations name beyond their own
// repository: how such addresses are read, and what brings what lies there. It
// calls nobody; package fetch does.
package bases

import (
	"context"
	"errors"
	"io/fs"
)

var (
	// ErrNotAllowed says that the config, or a Project, doesn't allow the address.
	ErrNotAllowed = errors.New("it is not among what may be fetched")
	// ErrMissing says that nothing lies there, or not at that revision: it may come.
	ErrMissing = errors.New("nothing is there")
	// ErrUnauthorized says that the host did not accept the credentials, or wants
	// some.
	ErrUnauthorized = errors.New("its host refused the credentials")
	// ErrAway says that the host can't be reached, or doesn't work.
	ErrAway = errors.New("its host can't be reached")
	// ErrBad says that the address, or what lies there, can't be used: it is of no
	// use to ask again.
	ErrBad = errors.New("it can't be used")
)

// Base is what lies at an address: a repository, or a file.
type Base struct {
	// Repository has the files of one commit; nil for a file.
	Repository fs.FS
	// Data is a file's.
	Data []byte
	// Version is the commit, or sha256:… of the file.
	Version string
}

// Source brings bases. With files alone, what can't be a file is [ErrBad]. Errors are
// one of this package's, or a context's.
type Source interface {
	Base(ctx context.Context, a Address, files bool) (Base, error)
}
