// Package policy chooses among an image's tags: one file for each strategy,
// all of them pure.
package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

// ErrTrack says that a track can't be used as it is written.
var ErrTrack = errors.New("invalid track")

// Tag is a candidate.
type Tag struct {
	Name string
	// Created is when the image was made or, where that isn't known, when we
	// heard of it; zero when unknown.
	Created time.Time
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
	// Tag is empty when none is better than the current.
	Tag      string    `json:"tag"`
	Reason   string    `json:"reason"`
	Verdicts []Verdict `json:"verdicts"`
}

// Question is what a strategy decides on.
type Question struct {
	// Current is the tag in use; empty when there is none.
	Current        string
	AllowDowngrade bool
	Tags           []Tag
}

// strategy compares tags. Its methods are pure.
type strategy interface {
	// read gives what is compared, or an error that says why the tag is no
	// candidate. current is the tag in use, read or nil.
	read(tag string, current value) (value, error)
	// current reads the tag in use; nil when it can't be read.
	current(tag string) value
}

// value is a tag as its strategy reads it.
type value interface {
	// compare is negative when the receiver is older than other.
	compare(other value) int
	// prefer is negative when, of equal values, the receiver is to be taken.
	prefer(other, current value) int
}

// strategies makes the strategy of a track; exactly one of them applies.
func strategyOf(t api.Track) (strategy, error) {
	switch {
	case t.Semver != nil:
		return newSemver(*t.Semver)
	default:
		return nil, fmt.Errorf("%w: exactly one of semver is required", ErrTrack)
	}
}

// Check says whether a track can be used.
func Check(t api.Track) error {
	_, err := strategyOf(t)
	return err
}

// pseudo are the tags under which cosign and its kin keep signatures,
// attestations and SBOMs: never candidates.
var pseudo = regexp.MustCompile(`^sha(?:256|512)-[0-9a-f]{64,128}(?:\.[a-z]+)?$`)

type candidate struct {
	tag   Tag
	value value
	at    int
}

// Choose decides. It is a pure function of its arguments, and the order of
// the tags doesn't matter.
func Choose(track api.Track, q Question) (Choice, error) {
	s, err := strategyOf(track)
	if err != nil {
		return Choice{}, err
	}
	var now value
	if q.Current != "" {
		now = s.current(q.Current)
	}
	c := Choice{Verdicts: make([]Verdict, len(q.Tags))}
	var candidates []candidate
	for i, t := range q.Tags {
		c.Verdicts[i].Tag = t.Name
		v, err := readTag(s, t.Name, now)
		if err != nil {
			c.Verdicts[i].Reason = err.Error()
			continue
		}
		candidates = append(candidates, candidate{t, v, i})
	}
	if len(candidates) == 0 {
		c.Reason = "no tag is a candidate"
		return c, nil
	}
	best := slices.MinFunc(candidates, func(a, b candidate) int { return better(a, b, now) })
	c.conclude(q, now, best, candidates)
	return c, nil
}

func readTag(s strategy, tag string, now value) (value, error) {
	if pseudo.MatchString(tag) {
		return nil, errors.New("holds a signature, attestation or SBOM")
	}
	return s.read(tag, now)
}

// better orders candidates, the one to take first.
func better(a, b candidate, now value) int {
	if d := b.value.compare(a.value); d != 0 {
		return d
	}
	if d := b.tag.Created.Compare(a.tag.Created); d != 0 && !a.tag.Created.IsZero() && !b.tag.Created.IsZero() {
		return d
	}
	if d := a.value.prefer(b.value, now); d != 0 {
		return d
	}
	switch {
	case a.tag.Name < b.tag.Name:
		return -1
	case a.tag.Name > b.tag.Name:
		return 1
	}
	return 0
}

// conclude writes the verdicts on the candidates.
func (c *Choice) conclude(q Question, now value, best candidate, all []candidate) {
	move := best.tag.Name != q.Current
	c.Reason = "is the best"
	if now != nil && move {
		switch d := best.value.compare(now); {
		case d < 0 && !q.AllowDowngrade:
			move, c.Reason = false, "is older than the current "+q.Current+", and allowDowngrade is not set"
		case d == 0 && !createdAfter(best, q.Current, all):
			move, c.Reason = false, "is the same version as the current "+q.Current
		}
	}
	for _, k := range all {
		v := &c.Verdicts[k.at]
		switch {
		case k.tag.Name == best.tag.Name && move:
			v.Chosen, v.Reason = true, c.Reason
		case k.tag.Name == q.Current:
			v.Reason = "is the current tag"
		case k.tag.Name == best.tag.Name:
			v.Reason = c.Reason
		case now != nil && k.value.compare(now) < 0:
			v.Reason = "is older than the current " + q.Current
		default:
			v.Reason = best.tag.Name + " is better"
		}
	}
	switch {
	case move:
		c.Tag, c.Reason = best.tag.Name, best.tag.Name+" "+c.Reason
	case best.tag.Name == q.Current:
		c.Reason = "the current " + q.Current + " is the best"
	default:
		c.Reason = best.tag.Name + " " + c.Reason
	}
}

// createdAfter says whether of two equal versions the best is known to be
// younger than the current tag: a later build of the same version.
func createdAfter(best candidate, current string, all []candidate) bool {
	for _, k := range all {
		if k.tag.Name == current {
			return !k.tag.Created.IsZero() && best.tag.Created.After(k.tag.Created)
		}
	}
	return false
}

// filter is the match and the ignores of a track.
type filter struct {
	match  *regexp.Regexp
	ignore []*regexp.Regexp
}

func newFilter(match string, ignore []string) (filter, error) {
	var f filter
	if match != "" {
		re, err := regexp.Compile(match)
		if err != nil {
			return f, fmt.Errorf("%w: match: %w", ErrTrack, err)
		}
		f.match = re
	}
	for _, s := range ignore {
		re, err := regexp.Compile(s)
		if err != nil {
			return f, fmt.Errorf("%w: ignore: %w", ErrTrack, err)
		}
		f.ignore = append(f.ignore, re)
	}
	return f, nil
}

// order gives the part of the tag that is compared: the named group "order"
// of match, or the whole tag.
func (f filter) order(tag string) (string, error) {
	for _, re := range f.ignore {
		if re.MatchString(tag) {
			return "", fmt.Errorf("is ignored by %q", re)
		}
	}
	if f.match == nil {
		return tag, nil
	}
	m := f.match.FindStringSubmatch(tag)
	if m == nil {
		return "", fmt.Errorf("does not match %q", f.match)
	}
	if i := f.match.SubexpIndex("order"); i >= 0 {
		return m[i], nil
	}
	return tag, nil
}
