package policy

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// reading is a question whose tags have been read.
type reading struct {
	current Tag
	now     *value // nil when there is no current tag, or it can't be read
	// verdicts has a reason for what is no candidate.
	verdicts   []Verdict
	candidates []candidate
	undated    []string
}

type candidate struct {
	tag   Tag
	value value
	at    int // in the verdicts
}

func read(track api.Track, q Question) (*reading, error) {
	s, err := strategyOf(track, q)
	if err != nil {
		return nil, err
	}
	r := &reading{current: withTime(q.Current, q.Tags), verdicts: make([]Verdict, len(q.Tags))}
	if q.Current.Name != "" {
		v, err := s.current(r.current)
		if err == nil {
			r.now = &v
		}
		r.missing(r.current, err)
	}
	for i, t := range q.Tags {
		r.verdicts[i].Tag = t.Name
		v, err := readTag(s, t, r.now)
		r.missing(t, err)
		if err != nil {
			r.verdicts[i].Reason = err.Error()
			continue
		}
		r.candidates = append(r.candidates, candidate{t, v, i})
	}
	return r, nil
}

// missing notes what can't be read for want of its time.
func (r *reading) missing(t Tag, err error) {
	if errors.Is(err, errUndated) {
		r.undated = append(r.undated, t.Name)
	}
}

// withTime gives the current tag the time that its namesake has, if it has none.
func withTime(current Tag, tags []Tag) Tag {
	if !current.Created.IsZero() {
		return current
	}
	for _, t := range tags {
		if t.Name == current.Name && t.Created.After(current.Created) {
			current.Created = t.Created
		}
	}
	return current
}

// pseudo are the tags under which cosign and its kin keep signatures,
// attestations and SBOMs, and registries without a referrers API their lists
// of these: never candidates.
var pseudo = regexp.MustCompile(`^sha(?:256|512)-[0-9a-f]{64,128}(?:\..+)?$`)

func readTag(s strategy, t Tag, now *value) (value, error) {
	switch {
	case !events.ValidTag(t.Name):
		return value{}, errors.New("is not a tag")
	case pseudo.MatchString(t.Name):
		return value{}, errors.New("holds a signature, attestation or SBOM")
	}
	return s.read(t, now)
}

// top gives the greatest candidates: all of them are equal.
func (r *reading) top() (all []candidate) {
	for _, c := range r.candidates {
		d := 0
		if len(all) > 0 {
			d = c.value.compare(all[0].value.key)
		}
		switch {
		case d > 0:
			all = append(all[:0], c)
		case d == 0:
			all = append(all, c)
		}
	}
	return all
}

// dated says that one of equal candidates carries a build id: then their times
// count before anything else, and one without a time is the oldest.
func dated(equal []candidate) bool {
	return slices.ContainsFunc(equal, func(c candidate) bool { return c.value.build })
}

// before orders equal candidates, the one to take first: the current's way
// with v, else without v, else the first by bytes.
func (c candidate) before(other candidate, now *value, dated bool) int {
	byTime := other.tag.Created.Compare(c.tag.Created)
	if dated && byTime != 0 {
		return byTime
	}
	if c.value.v != other.value.v {
		if c.value.v == (now != nil && now.v) {
			return -1
		}
		return 1
	}
	// Of one tag given twice the order of the input must not decide.
	return cmp.Or(strings.Compare(c.tag.Name, other.tag.Name), byTime, strings.Compare(c.tag.Digest, other.tag.Digest))
}
