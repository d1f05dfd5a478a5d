package api

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Filter says which tags are looked at, and what is compared of them.
type Filter struct {
	// Match is an expression (RE2) that a tag must match; its named group
	// "order" is what is compared, without one the whole tag.
	Match string `json:"match,omitempty"`
	// Extract is what is compared instead: a text in which $name, ${name} and
	// $1 stand for what match's groups take (the template of regexp.Expand, as
	// of Flux' filterTags).
	Extract string `json:"extract,omitempty"`
	// Ignore are expressions of tags to leave out.
	Ignore []string `json:"ignore,omitempty"`
}

func (f Filter) validate() error {
	return errors.Join(Expressions(f.Match, f.Ignore), f.extracts())
}

// reference is a group that a template names, or a dollar sign that names none.
var reference = regexp.MustCompile(`\$(\$|[\pL\p{Nd}_]+|\{[\pL\p{Nd}_]+\}|)`)

// extracts wants a template to name groups of match, and some at all: what it
// makes of the tags would be the same for all otherwise.
func (f Filter) extracts() error {
	match, err := regexp.Compile(f.Match)
	switch {
	case f.Extract == "" || err != nil:
		return nil
	case f.Match == "":
		return errors.New("extract: it is made of what match's groups take, and there is no match")
	}
	named := false
	for _, m := range reference.FindAllStringSubmatch(f.Extract, -1) {
		group := m[1]
		switch {
		case group == "$":
			continue
		case group == "":
			return fmt.Errorf("extract: %q has a $ that names no group; $$ is one that stands for itself", f.Extract)
		case group[0] == '{':
			group = group[1 : len(group)-1]
		}
		number, err := strconv.Atoi(group)
		if err != nil || strconv.Itoa(number) != group {
			number = match.SubexpIndex(group)
		}
		if number < 0 || number > match.NumSubexp() {
			return fmt.Errorf("extract: match %q has no group %s", f.Match, group)
		}
		named = true
	}
	if !named {
		return fmt.Errorf("extract: %q names no group of match", f.Extract)
	}
	return nil
}

// takes wants the filter to let the one tag through that a track names:
// otherwise it could never choose.
func (f Filter) takes(tag string) error {
	if !regexp.MustCompile(f.Match).MatchString(tag) {
		return fmt.Errorf("match %q doesn't match the tag %s itself", f.Match, tag)
	}
	for _, e := range f.Ignore {
		if regexp.MustCompile(e).MatchString(tag) {
			return fmt.Errorf("ignore %q leaves out the tag %s itself", e, tag)
		}
	}
	return nil
}

// Expressions checks a match and a list of ignores.
func Expressions(match string, ignore []string) error {
	var faults []error
	if _, err := regexp.Compile(match); err != nil {
		faults = append(faults, fmt.Errorf("match: expression %q: %w", match, err))
	}
	for i, e := range ignore {
		switch _, err := regexp.Compile(e); {
		case err != nil:
			faults = append(faults, fmt.Errorf("ignore[%d]: expression %q: %w", i, e, err))
		case e == "":
			faults = append(faults, fmt.Errorf("ignore[%d]: is empty, and would leave out every tag", i))
		}
	}
	return errors.Join(faults...)
}
