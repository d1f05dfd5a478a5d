package policy

import (
	"fmt"
	"regexp"

	"github.com/slipway-cd/slipway/shared/api"
)

// filter is what a track looks at of the tags.
type filter struct {
	match   *regexp.Regexp
	extract string // what is compared, of match's groups; empty: the whole tag
	from    string // what says so
	ignore  []*regexp.Regexp
}

func newFilter(t api.Filter) (f filter, err error) {
	f.extract, f.from = t.Extract, fmt.Sprintf("extract %q", t.Extract)
	if t.Match != "" {
		if f.match, err = regexp.Compile(t.Match); err != nil {
			return f, fmt.Errorf("match: %w", err)
		}
		if f.extract == "" && f.match.SubexpIndex("order") >= 0 {
			f.extract, f.from = "${order}", `match's group "order"`
		}
	}
	for _, s := range t.Ignore {
		re, err := regexp.Compile(s)
		if err != nil {
			return f, fmt.Errorf("ignore: %w", err)
		}
		f.ignore = append(f.ignore, re)
	}
	return f, nil
}

// Takes gives a function that says whether a filter lets a tag through; one
// that can't be used lets none.
func Takes(t api.Filter) func(tag string) bool {
	f, err := newFilter(t)
	return func(tag string) bool {
		if err != nil || f.ignored(tag) != nil {
			return false
		}
		_, err := f.part(tag)
		return err == nil
	}
}

// ignored is an error that says by what a tag is ignored; nil when it isn't.
func (f filter) ignored(tag string) error {
	for _, re := range f.ignore {
		if re.MatchString(tag) {
			return fmt.Errorf("is ignored by %q", re)
		}
	}
	return nil
}

// part gives what is compared of a tag: what extract makes of it, or the named
// group "order" of match, or the whole tag. Ignored tags have it too: the tag in
// use may be one, and is no older for that.
func (f filter) part(tag string) (string, error) {
	if f.match == nil {
		return tag, nil
	}
	m := f.match.FindStringSubmatchIndex(tag)
	if m == nil {
		return "", fmt.Errorf("does not match %q", f.match)
	}
	if f.extract == "" {
		return tag, nil
	}
	part := string(f.match.ExpandString(nil, f.extract, tag, m))
	if part == "" {
		return "", fmt.Errorf("has nothing in %s", f.from)
	}
	return part, nil
}

// ordered is a strategy whose keys depend on nothing but the tag itself.
type ordered struct {
	filter
	key func(t Tag, part string) (key, error)
}

func (o *ordered) read(t Tag, _ *value) (value, error) {
	if err := o.ignored(t.Name); err != nil {
		return value{}, err
	}
	return o.current(t)
}

func (o *ordered) current(t Tag) (value, error) {
	part, err := o.part(t.Name)
	if err != nil {
		return value{}, err
	}
	k, err := o.key(t, part)
	return value{key: k, v: withV(t.Name, part)}, err
}

var leadingV = regexp.MustCompile(`^v[0-9]`)

// withV says whether a tag, or the part of it that is compared, is written
// with a v.
func withV(tag, part string) bool {
	return leadingV.MatchString(tag) || leadingV.MatchString(part)
}
