package policy

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/api"
)

func newExact(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Exact.Filter)
	return &single{filter: f, tag: t.Exact.Tag}, err
}

// single is a strategy with one candidate. It knows no older or newer: any
// other tag in use gives way.
type single struct {
	filter
	tag   string
	moves bool
}

func (s *single) read(t Tag, _ *value) (value, error) {
	if err := s.ignored(t.Name); err != nil {
		return value{}, err
	}
	if _, err := s.part(t.Name); err != nil {
		return value{}, err
	}
	return s.current(t)
}

func (s *single) current(t Tag) (value, error) {
	if t.Name != s.tag {
		return value{}, fmt.Errorf("is not %s", s.tag)
	}
	return value{key: same{}, moves: s.moves}, nil
}

// same is the key of a tag that has no other beside it.
type same struct{}

func (same) compare(key) int { return 0 }
