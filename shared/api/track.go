package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Track is exactly one of its fields.
type Track struct {
	// Semver takes the greatest version in a range.
	Semver *Semver `json:"semver,omitempty"`
	// Numeric takes the greatest whole number, of any length.
	Numeric *Greatest `json:"numeric,omitempty"`
	// Alphabetical takes the greatest by bytes.
	Alphabetical *Greatest `json:"alphabetical,omitempty"`
	// Newest takes the greatest order, or the youngest image.
	Newest *Newest `json:"newest,omitempty"`
	// Digest takes what a moving tag points to now.
	Digest *Fixed `json:"digest,omitempty"`
	// Exact takes that tag.
	Exact *Fixed `json:"exact,omitempty"`
	// Follow takes what another application runs now.
	Follow *Follow `json:"follow,omitempty"`
}

// Semver chooses the greatest version in a range. It is written as the range
// alone, or as a mapping.
type Semver struct {
	Range       string `json:"range"`
	Prereleases bool   `json:"prereleases,omitempty"`
	Filter
}

// Greatest compares what the filter leaves.
type Greatest struct {
	Filter
}

// Order is what makes a tag newer.
type Order string

// The orders.
const (
	OrderNumeric      Order = "numeric"
	OrderAlphabetical Order = "alphabetical"
	OrderCreated      Order = "created"
)

// Newest compares what the filter leaves, or the images' ages.
type Newest struct {
	Order Order `json:"order"`
	Filter
}

// Fixed names one tag. It is written as the tag alone, or as a mapping.
type Fixed struct {
	Tag string `json:"tag"`
	Filter
}

// Follow names an application, cluster/namespace/name, with the placeholders
// {cluster}, {namespace} and {name} of the application that is decided on. It
// is written as that name alone, or as a mapping.
type Follow struct {
	Application string `json:"application"`
	// Same says what is taken: the very image, which is the default, or the
	// youngest one of the same revision.
	Same Same `json:"same,omitempty"`
	Filter
}

// UnmarshalJSON takes the range alone or the mapping, strictly.
func (s *Semver) UnmarshalJSON(data []byte) error {
	type plain Semver
	return short(data, &s.Range, (*plain)(s))
}

// UnmarshalJSON takes the tag alone or the mapping, strictly.
func (f *Fixed) UnmarshalJSON(data []byte) error {
	type plain Fixed
	return short(data, &f.Tag, (*plain)(f))
}

// UnmarshalJSON takes the name alone or the mapping, strictly.
func (f *Follow) UnmarshalJSON(data []byte) error {
	type plain Follow
	return short(data, &f.Application, (*plain)(f))
}

// short reads a string, or else a mapping without unknown fields.
func short(data []byte, text *string, mapping any) error {
	if json.Unmarshal(data, text) == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return errors.New("must be a string (put it in quotes) or a mapping")
	}
	known := fieldsOf(indirect(mapping))
	for name := range fields {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("unknown field %q", name)
		}
	}
	err := json.Unmarshal(data, mapping)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: is a %s and must be a %s", wrong.Field, wrong.Value, wrong.Type)
	}
	return err
}

// trackForm is one way to write a track.
type trackForm struct {
	name     string
	set      bool
	validate func() error
}

// forms is the table of tracks.
func (t Track) forms() []trackForm {
	return []trackForm{
		{"semver", t.Semver != nil, t.Semver.validate},
		{"numeric", t.Numeric != nil, t.Numeric.validate},
		{"alphabetical", t.Alphabetical != nil, t.Alphabetical.validate},
		{"newest", t.Newest != nil, t.Newest.validate},
		{"digest", t.Digest != nil, t.Digest.validate},
		{"exact", t.Exact != nil, t.Exact.validate},
		{"follow", t.Follow != nil, t.Follow.validate},
	}
}

// form gives the one that is set.
func (t Track) form() (trackForm, error) {
	var found []trackForm
	var all, set []string
	for _, f := range t.forms() {
		all = append(all, f.name)
		if f.set {
			found, set = append(found, f), append(set, f.name)
		}
	}
	last := len(all) - 1
	need := fmt.Sprintf("exactly one of %s and %s is required", strings.Join(all[:last], ", "), all[last])
	switch len(found) {
	case 0:
		return trackForm{}, errors.New(need + " (one without options is written with {})")
	case 1:
		return found[0], nil
	}
	return trackForm{}, fmt.Errorf("%s, not %s together", need, strings.Join(set, " and "))
}

// Kind is the name of the track that is set; any other number than one is an
// error.
func (t Track) Kind() (string, error) {
	f, err := t.form()
	return f.name, err
}

// Validate wants exactly one track, whole, with expressions that compile.
// Ranges are the business of who uses them.
func (t Track) Validate() error {
	f, err := t.form()
	if err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

func (s *Semver) validate() error {
	var err error
	if strings.TrimSpace(s.Range) == "" {
		err = errors.New(`range is empty; "*" takes every version`)
	}
	return errors.Join(err, s.Filter.validate())
}

func (g *Greatest) validate() error { return g.Filter.validate() }

func (n *Newest) validate() error {
	var err error
	switch n.Order {
	case OrderNumeric, OrderAlphabetical, OrderCreated:
	case "":
		err = errors.New("order is required: numeric, alphabetical or created")
	default:
		err = fmt.Errorf("order %q is none of numeric, alphabetical and created", n.Order)
	}
	return errors.Join(err, n.Filter.validate())
}

func (f *Fixed) validate() error {
	if !events.ValidTag(f.Tag) {
		return errors.Join(fmt.Errorf("%q is not a tag", f.Tag), f.Filter.validate())
	}
	if err := f.Filter.validate(); err != nil {
		return err
	}
	return f.Filter.takes(f.Tag)
}

// Of gives the application to follow for another one.
func (f *Follow) Of(a events.Application) (events.Application, error) {
	return another(f.Application, a)
}

func (f *Follow) validate() error {
	return errors.Join(validAnother(f.Application), f.Same.validate(), f.Filter.validate())
}
