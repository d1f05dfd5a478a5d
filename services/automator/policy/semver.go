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
//
// Without a match, what stands behind the first hyphen of a tag is told apart
// by the tag rules:
//
//   - 7 to 40 hex digits, also behind g or sha-, are a build id. So is 3f9a1c2,
//     though it begins with a digit; but digits alone (20241101, 1234567,
//     ea20241101) are more often a date or a count than a commit, and a
//     pre-release too many is safer than one too few.
//   - What begins with a digit or with one of the words is a pre-release. It
//     goes on while the pieces between hyphens do the same; the rest is a
//     variant or build id of its own, so that 1.2.0-rc1-alpine is a pre-release
//     of the variant alpine, and v1.2.3-14-g2414721 a build of a pre-release.
//   - Anything else is a variant, as a whole: alpine3.20 is not alpine3.21, and
//     debian-12-r7 not debian-12-r8.
//
// With a match, what it leaves is read by SemVer alone: every suffix is a
// pre-release.
type semverTrack struct {
	filter
	bounds
	plain bool // no match
}

func newSemver(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Semver.Filter)
	if err != nil {
		return nil, err
	}
	b, err := newBounds(t.Semver.Range, t.Semver.Prereleases)
	return &semverTrack{f, b, t.Semver.Match == ""}, err
}

// version is a tag read as a version.
type version struct {
	*semver.Version
	parts   int    // numbers written: 1.2 has 2
	variant string // a suffix that must not change
	build   bool   // a suffix that is a commit's id
}

func (v *version) compare(other key) int { return v.Compare(other.(*version).Version) }

var (
	// The shape of a version: one to three numbers, then perhaps a suffix
	// behind a hyphen.
	shape       = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+){0,2})(?:-(.+))?$`)
	leadingZero = regexp.MustCompile(`(?:^|\.)0[0-9]`)

	prerelease = regexp.MustCompile(`(?i)^(?:[0-9]|(?:alpha|beta|rc|preview|pre|dev|snapshot|nightly|canary|ea|m)(?:[^a-z]|$))`)
	buildID    = regexp.MustCompile(`(?i)^(?:g|sha-)?[0-9a-f]{7,40}$`)
	// No build id, though of hex digits.
	count = regexp.MustCompile(`(?i)^(?:ea)?[0-9]+$`)
)

var errNotAVersion = errors.New("is not a version")

// parse reads the part of a tag that is compared.
func (s *semverTrack) parse(part string) (*version, error) {
	m := shape.FindStringSubmatch(part)
	switch {
	case m == nil:
		return nil, errNotAVersion
	case leadingZero.MatchString(m[1]):
		return nil, fmt.Errorf("%w: a number has a leading zero", errNotAVersion)
	}
	v := &version{parts: strings.Count(m[1], ".") + 1}
	suffix := m[2]
	if s.plain {
		suffix, v.variant, v.build = divide(m[2])
	}
	text := m[1] + strings.Repeat(".0", 3-v.parts)
	number, err := semver.StrictNewVersion(text)
	if err != nil {
		return nil, fmt.Errorf("%w: a number is greater than 18446744073709551615", errNotAVersion)
	}
	v.Version = number
	if suffix == "" {
		return v, nil
	}
	if v.Version, err = semver.StrictNewVersion(text + "-" + suffix); err != nil {
		return nil, fmt.Errorf("%w: the pre-release %q is not in SemVer's grammar", errNotAVersion, suffix)
	}
	return v, nil
}

// divide tells the parts of a suffix apart.
func divide(suffix string) (pre, variant string, build bool) {
	rest := suffix
	for rest != "" {
		if buildID.MatchString(rest) && !count.MatchString(rest) {
			return pre, "", true
		}
		piece, more, _ := strings.Cut(rest, "-")
		if !prerelease.MatchString(piece) {
			return pre, rest, false
		}
		pre, rest = strings.TrimPrefix(pre+"-"+piece, "-"), more
	}
	return pre, "", false
}

func (s *semverTrack) current(t Tag) (value, error) {
	part, err := s.part(t.Name)
	if err != nil {
		return value{}, err
	}
	v, err := s.parse(part)
	if err != nil {
		return value{}, err
	}
	return value{key: v, v: withV(t.Name, part), build: v.build}, nil
}

func (s *semverTrack) read(t Tag, now *value) (value, error) {
	if err := s.ignored(t.Name); err != nil {
		return value{}, err
	}
	val, err := s.current(t)
	if err != nil {
		return value{}, err
	}
	v := val.key.(*version)
	switch {
	case now == nil && v.variant != "":
		return value{}, fmt.Errorf("is of variant %q, and no current tag asks for it", v.variant)
	case now == nil:
	case v.variant != now.key.(*version).variant:
		return value{}, fmt.Errorf("is of %s, the current tag of %s", named(v.variant), named(now.key.(*version).variant))
	case v.parts != now.key.(*version).parts:
		return value{}, fmt.Errorf("has %d numbers, the current tag has %d", v.parts, now.key.(*version).parts)
	}
	return val, s.check(v.Version)
}

func named(variant string) string {
	if variant == "" {
		return "no variant"
	}
	return fmt.Sprintf("variant %q", variant)
}

// bounds is a range of versions.
type bounds struct {
	text        string
	constraints *semver.Constraints
	// named are the releases of which the range names a pre-release.
	named []*semver.Version
}

var (
	// A version with a pre-release, as a range may have it.
	namesPrerelease = regexp.MustCompile(`([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?-[0-9A-Za-z]`)
	tooLarge        = regexp.MustCompile(`[1-9][0-9]{19}`)
)

func newBounds(text string, prereleases bool) (bounds, error) {
	c, err := semver.NewConstraint(text)
	if err != nil && tooLarge.MatchString(text) {
		err = errors.New("a number in it is greater than 18446744073709551615")
	}
	if err != nil || strings.TrimSpace(text) == "" {
		return bounds{}, fmt.Errorf("range %q: %w", text, cmp.Or(err, errors.New("it is empty")))
	}
	c.IncludePrerelease = prereleases
	b := bounds{text: text, constraints: c}
	for _, m := range namesPrerelease.FindAllStringSubmatch(text, -1) {
		release, err := semver.NewVersion(strings.Join([]string{m[1], cmp.Or(m[2], "0"), cmp.Or(m[3], "0")}, "."))
		if err == nil {
			b.named = append(b.named, release)
		}
	}
	return b, nil
}

// check wants a version to be in the range. SemVer puts 2.0.0-rc1 below 2.0.0,
// but nobody who writes <2 means it: a pre-release is only in where its
// release is, or where the range names a pre-release of that.
func (b bounds) check(v *semver.Version) error {
	in := b.constraints.Check(v)
	if v.Prerelease() == "" {
		if !in {
			return fmt.Errorf("is outside of %q", b.text)
		}
		return nil
	}
	release := *semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
	named := false
	for _, n := range b.named {
		named = named || n.Equal(&release)
	}
	switch {
	case in && (named || b.constraints.Check(&release)):
		return nil
	case !b.constraints.IncludePrerelease && b.constraints.Check(&release):
		return fmt.Errorf("is a pre-release, and outside of %q without prereleases", b.text)
	}
	return fmt.Errorf("is outside of %q", b.text)
}
