package api

import (
	"fmt"
	"regexp"
	"strings"
)

// Pattern matches names of applications, images or clusters: * is one path
// segment or a part of it, ** any number of segments; case counts; nothing
// else is special.
type Pattern struct {
	text string
	re   *regexp.Regexp
}

// ParsePattern reads a pattern. ** must be a whole segment.
func ParsePattern(s string) (Pattern, error) {
	if s == "" {
		return Pattern{}, fmt.Errorf("an empty pattern matches nothing")
	}
	var b strings.Builder
	b.WriteString("^")
	segments := strings.Split(s, "/")
	for i, seg := range segments {
		last := i == len(segments)-1
		switch {
		case seg == "**" && last && i == 0:
			b.WriteString(".*")
		case seg == "**" && last:
			b.WriteString("(?:/.*)?")
		case seg == "**":
			b.WriteString("(?:[^/]+/)*")
		case strings.Contains(seg, "**"):
			return Pattern{}, fmt.Errorf("pattern %q: ** must be a whole segment", s)
		default:
			parts := strings.Split(seg, "*")
			for j := range parts {
				parts[j] = regexp.QuoteMeta(parts[j])
			}
			b.WriteString(strings.Join(parts, "[^/]*"))
			if next := i + 1; !last && !(segments[next] == "**" && next == len(segments)-1) {
				b.WriteString("/")
			}
		}
	}
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern %q: %w", s, err)
	}
	return Pattern{s, re}, nil
}

// Match says whether the whole name fits.
func (p Pattern) Match(name string) bool { return p.re != nil && p.re.MatchString(name) }

func (p Pattern) String() string { return p.text }

// Patterns is a list of which one must match.
type Patterns []Pattern

// ParsePatterns reads a list of patterns.
func ParsePatterns(list []string) (Patterns, error) {
	var all Patterns
	for _, s := range list {
		p, err := ParsePattern(s)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Match says whether any of the patterns matches.
func (ps Patterns) Match(name string) bool {
	for _, p := range ps {
		if p.Match(name) {
			return true
		}
	}
	return false
}
