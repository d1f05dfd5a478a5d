// Package policy chooses among an image's tags: one file for each strategy,
// all of them pure.
package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

// ErrTrack says that a track can't be used as it is written.
var ErrTrack = errors.New("invalid track")

// Tag is a tag of an image repository.
type Tag struct {
	Name string
	// Digest is what it points to; empty when unknown.
	Digest string
	// Created is when the image was made or, where that isn't known, when we
	// heard of it; zero when unknown.
	Created time.Time
}

// Question is what a strategy decides on.
type Question struct {
	// Current is the tag in use, with the digest that the reference is pinned
	// to; without a name when there is none. Its time is taken from Tags where
	// it is zero.
	Current        Tag
	AllowDowngrade bool
	// Follow is what the application runs that a follow track names; without
	// a name when that isn't known.
	Follow Tag
	Tags   []Tag
}

// Verdict says what became of one tag.
type Verdict struct {
	Tag    string `json:"tag"`
	Chosen bool   `json:"chosen"`
	Reason string `json:"reason"`
}

// Choice is the tag to move to and the verdict on every tag, in the order of
// the input.
type Choice struct {
	// Tag is empty when none is better than the current. It is the current
	// one where that points to another digest than the one in use.
	Tag string `json:"tag"`
	// Digest is what Tag points to, where that was known.
	Digest   string    `json:"digest,omitempty"`
	Reason   string    `json:"reason"`
	Verdicts []Verdict `json:"verdicts"`
}

// strategy reads tags. Its methods are pure.
type strategy interface {
	// read gives what is compared, or an error that says why the tag is no
	// candidate. now is the tag in use, nil when there is none or it can't be
	// read.
	read(t Tag, now *value) (value, error)
	// current reads the tag in use, which need not be a candidate.
	current(t Tag) (value, error)
}

// value is a tag as its strategy reads it.
type value struct {
	key
	// v says that it is written with a v.
	v bool
	// build says that it carries a build id: of equal tags the one created
	// last is taken.
	build bool
	// moves says that the tag is meant to be pushed again: another digest
	// under it is a move.
	moves bool
}

// key is the part of a tag that is compared, only ever with keys of the same
// strategy.
type key interface {
	// compare is negative when the receiver is older than other.
	compare(other key) int
}

// table has a row for each track.
var table = map[string]func(api.Track, Question) (strategy, error){
	"semver":       newSemver,
	"numeric":      newNumeric,
	"alphabetical": newAlphabetical,
	"newest":       newNewest,
	"digest":       newDigest,
	"exact":        newExact,
	"follow":       newFollow,
}

func strategyOf(t api.Track, q Question) (strategy, error) {
	kind, err := t.Kind()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrack, err)
	}
	s, err := table[kind](t, q)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTrack, kind, err)
	}
	return s, nil
}

// Check says whether a track can be used.
func Check(t api.Track) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrTrack, err)
	}
	_, err := strategyOf(t, Question{})
	return err
}
