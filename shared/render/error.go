package render

import (
	"errors"
	"strconv"
	"strings"
)

// Reason sorts errors, for conditions and exit codes.
type Reason string

// The reasons for which a path can't be rendered.
const (
	// ReasonPath says that the path isn't there, or isn't a directory.
	ReasonPath Reason = "PathNotFound"
	// ReasonUnsupported says that something is asked for that Slipway
	// refuses, or can't do yet.
	ReasonUnsupported Reason = "Unsupported"
	// ReasonInvalid says that a file can't be read as what it claims to be.
	ReasonInvalid Reason = "InvalidManifest"
	// ReasonBuild says that kustomize or Helm failed.
	ReasonBuild Reason = "BuildFailed"
	// ReasonVariable says that a variable has no value, or that an expression
	// with one can't be read.
	ReasonVariable Reason = "InvalidVariable"
	// ReasonEncrypted says that a file is encrypted with SOPS, and can't be
	// decrypted.
	ReasonEncrypted Reason = "DecryptionFailed"
	// ReasonDuplicate says that an object is there twice.
	ReasonDuplicate Reason = "DuplicateObject"
	// ReasonTooLarge says that a limit was passed.
	ReasonTooLarge Reason = "TooLarge"
	// ReasonChart says that a chart of a repository can't be had.
	ReasonChart Reason = "ChartUnavailable"
	// ReasonBase says that what a kustomization names beyond its repository can't be
	// had.
	ReasonBase Reason = "BaseUnavailable"
	// ReasonLookup says that what a chart looks up in the cluster can't be found out.
	ReasonLookup Reason = "LookupFailed"
	// ReasonLimit says that a chart took too much time or memory.
	ReasonLimit Reason = "LimitExceeded"
)

// Error is one fault in the repository. It names the place, and what to do.
type Error struct {
	File    string
	Line    int // 0 where no line is at fault
	Reason  Reason
	Message string
	Help    string // may be empty
	Err     error  // may be nil
}

// eachError gives an error, or all that are joined to one, with another in the place
// of each of ours.
func eachError(err error, change func(Error) *Error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, eachError(e, change))
		}
		return errors.Join(all...)
	}
	e, ok := err.(*Error) //nolint:errorlint // it is ours, or tells nothing of files
	if !ok {
		return err
	}
	return change(*e)
}

// Error is "file:line: message: help".
func (e *Error) Error() string {
	parts := []string{where(e.File, e.Line), e.Message}
	if e.Help != "" {
		parts = append(parts, e.Help)
	}
	return strings.Join(parts, ": ")
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

func where(file string, line int) string {
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}
