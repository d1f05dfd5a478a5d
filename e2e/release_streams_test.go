package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// stream is an image repository whose tags are of one kind.
type stream struct {
	image string
	// narrow and wide are the tracks that rules may have.
	narrow, wide string
	// order gives what the track compares of a tag; ok is false for what it doesn't want.
	order func(tag string, wide bool) (n int, ok bool)
	// ranged says that it compares what is in use, too, where that is out of its range.
	ranged bool
	// moves says that one tag is meant to be pushed again.
	moves bool
	// next gives a tag to push: the nth time, mostly a newer one.
	next func(rng *rand.Rand, n int) string
}

func (s stream) track(wide bool) string {
	if wide {
		return s.wide
	}
	return s.narrow
}

// streams are read here by rules of their own, not by those of the automator.
var streams = []stream{
	{image: "team/versions", narrow: `{semver: ">=1.0 <2"}`, wide: `{semver: ">=1.0 <3"}`, order: versionOrder, ranged: true, next: nextVersion},
	{image: "team/calls", narrow: `{semver: "1.x"}`, wide: `{semver: {range: ">=1.0.0"}}`, order: versionOrder, ranged: true, next: nextVersion},
	{
		image: "team/builds", narrow: `{numeric: {match: "^build-(?P<order>[0-9]+)$"}}`, wide: `{newest: {match: "^(build|extra)-(?P<order>[0-9]+)$", order: numeric}}`,
		order: func(tag string, wide bool) (int, bool) {
			kind, number, _ := strings.Cut(tag, "-")
			n, err := strconv.Atoi(number)
			return n, err == nil && (kind == "build" || kind == "extra" && wide)
		},
		next: func(rng *rand.Rand, n int) string {
			return anyOf(rng, []string{"build-" + strconv.Itoa(n), "build-" + strconv.Itoa(n), "extra-" + strconv.Itoa(n), "build-" + strconv.Itoa(1+n/2), "latest"})
		},
	},
	{
		image: "team/days", narrow: `{alphabetical: {match: "^2026[.][0-9]{4}$"}}`, wide: `{alphabetical: {match: "^202[67][.][0-9]{4}$"}}`,
		order: func(tag string, wide bool) (int, bool) {
			year, day, _ := strings.Cut(tag, ".")
			y, err := strconv.Atoi(year)
			d, dayErr := strconv.Atoi(day)
			return y*10_000 + d, err == nil && dayErr == nil && len(day) == 4 && (y == 2026 || y == 2027 && wide)
		},
		next: func(rng *rand.Rand, n int) string {
			return anyOf(rng, []string{fmt.Sprintf("2026.%04d", n), fmt.Sprintf("2026.%04d", n), fmt.Sprintf("2027.%04d", n), fmt.Sprintf("2026.%04d", 1+n/3), "nightly"})
		},
	},
	{
		image: "team/main", narrow: `{digest: main}`, wide: `{digest: main}`, moves: true,
		order: func(tag string, _ bool) (int, bool) { return 0, tag == "main" },
		next:  func(rng *rand.Rand, _ int) string { return anyOf(rng, []string{"main", "main", "dev"}) },
	},
}

func streamOf(image string) stream {
	for _, s := range streams {
		if s.image == image {
			return s
		}
	}
	panic("no stream " + image)
}

var versionPattern = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)$`)

func versionOrder(tag string, wide bool) (int, bool) {
	m := versionPattern.FindStringSubmatch(tag)
	if m == nil {
		return 0, false
	}
	n := 0
	for _, part := range m[1:] {
		i, err := strconv.Atoi(part)
		if err != nil || i >= 1000 {
			return 0, false
		}
		n = 1000*n + i
	}
	return n, m[1] == "1" || wide
}

func nextVersion(rng *rand.Rand, n int) string {
	return anyOf(rng, []string{
		fmt.Sprintf("1.%d.0", n), fmt.Sprintf("1.%d.0", n), fmt.Sprintf("1.%d.%d", n/2, n), fmt.Sprintf("2.%d.0", n),
		fmt.Sprintf("1.%d.0-rc.1", n), fmt.Sprintf("1.%d.0-alpine", n), fmt.Sprintf("v1.%d", n), "latest",
	})
}

// first is the tag that the first references name.
func (s stream) first() string {
	switch s.image {
	case "team/builds":
		return "build-0"
	case "team/days":
		return "2026.0000"
	case "team/main":
		return "main"
	default:
		return "1.0.0"
	}
}
