package policy

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-cd/slipway/shared/api"
)

// semverTrack takes the greatest version in a range.
type semverTrack struct {
	filter
	constraint *semver.Constraints
	text       string
	plain      bool // no match: suffixes are told apart by our tag rules
}

func newSemver(t api.Semver) (strategy, error) {
	f, err := newFilter(t.Match, t.Ignore)
	if err != nil {
		return nil, err
	}
	c, err := semver.NewConstraint(t.Range)
	if err != nil || strings.TrimSpace(t.Range) == "" {
		return nil, fmt.Errorf("%w: semver: range %q: %w", ErrTrack, t.Range, cmp.Or(err, errors.New("it is empty")))
	}
	c.IncludePrerelease = t.Prereleases
	return &semverTrack{f, c, t.Range, t.Match == ""}, nil
}

// version is a tag read as a version.
type version struct {
	*semver.Version
	parts   int    // numbers written: 1.2 has 2
	v       bool   // begins with v
	variant string // a suffix that must not change
	build   string // a commit's id
}

// The shape of a version: one to three numbers without leading zeros, then
// perhaps a suffix behind a hyphen.
var shape = regexp.MustCompile(`^(v?)((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){0,2})(?:-(.+))?$`)

// What a suffix can be. A commit's id has a letter in it, since digits alone
// are more often a date or a number.
var (
	prerelease = regexp.MustCompile(`(?i)^(?:[0-9]|(?:alpha|beta|rc|preview|pre|dev|snapshot|nightly|canary|ea|m)(?:[^a-z]|$))`)
	buildID    = regexp.MustCompile(`^(?:g|sha-)?([0-9a-f]{7,40})$`)
	digits     = regexp.MustCompile(`^[0-9]+$`)
)

var errNotAVersion = errors.New("is not a version")

// parse reads the part of a tag that is compared.
func (s *semverTrack) parse(order string) (*version, error) {
	m := shape.FindStringSubmatch(order)
	if m == nil {
		return nil, errNotAVersion
	}
	v := &version{v: m[1] != "", parts: strings.Count(m[2], ".") + 1}
	number := m[2] + strings.Repeat(".0", 3-v.parts)
	switch id := buildID.FindStringSubmatch(m[3]); {
	case m[3] == "":
	case s.plain && id != nil && !(m[3] == id[1] && digits.MatchString(id[1])):
		v.build = m[3]
	case !s.plain || prerelease.MatchString(m[3]):
		number += "-" + m[3]
	default:
		v.variant = m[3]
	}
	parsed, err := semver.StrictNewVersion(number)
	if err != nil {
		// A pre-release such as rc_1 or 01 is none in SemVer's grammar.
		return nil, errNotAVersion
	}
	v.Version = parsed
	return v, nil
}

func (s *semverTrack) current(tag string) value {
	order, err := s.order(tag)
	if err != nil {
		return nil
	}
	v, err := s.parse(order)
	if err != nil {
		return nil
	}
	return v
}

func (s *semverTrack) read(tag string, current value) (value, error) {
	order, err := s.order(tag)
	if err != nil {
		return nil, err
	}
	v, err := s.parse(order)
	if err != nil {
		return nil, err
	}
	now, known := current.(*version)
	switch {
	case known && s.plain && v.variant != now.variant:
		return nil, fmt.Errorf("is of variant %q, the current tag of %q", v.variant, now.variant)
	case !known && v.variant != "":
		return nil, fmt.Errorf("is of variant %q, and no current tag asks for it", v.variant)
	case known && s.plain && v.parts != now.parts:
		return nil, fmt.Errorf("has %d numbers, the current tag has %d", v.parts, now.parts)
	case !s.constraint.Check(v.Version):
		if v.Prerelease() != "" && !s.constraint.IncludePrerelease {
			return nil, fmt.Errorf("is a pre-release, and outside of %q without prereleases", s.text)
		}
		return nil, fmt.Errorf("is outside of %q", s.text)
	}
	return v, nil
}

func (v *version) compare(other value) int { return v.Compare(other.(*version).Version) }

// prefer takes the current's way with v, else the way without.
func (v *version) prefer(other, current value) int {
	want := false
	if now, ok := current.(*version); ok {
		want = now.v
	}
	o := other.(*version)
	switch {
	case v.v == o.v:
		return 0
	case v.v == want:
		return -1
	default:
		return 1
	}
}
