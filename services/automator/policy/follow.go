package policy

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/api"
)

func newFollow(t api.Track, q Question) (strategy, error) {
	f, err := newFilter(t.Follow.Filter)
	return &follow{single{filter: f, tag: q.Follow.Name, moves: true}, q.Follow.Digest, t.Follow.Application}, err
}

// follow takes what another application runs, by the very digest.
type follow struct {
	single
	digest, application string
}

func (f *follow) read(t Tag, now *value) (value, error) {
	switch {
	case f.tag == "":
		return value{}, fmt.Errorf("can't be compared: what %s runs is not known", f.application)
	case t.Name == f.tag && f.digest != "" && t.Digest != "" && t.Digest != f.digest:
		return value{}, fmt.Errorf("points to %s now, and %s runs %s", t.Digest, f.application, f.digest)
	}
	return f.single.read(t, now)
}
