package policy

import "github.com/slipway-cd/slipway/shared/api"

func newDigest(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Digest.Filter)
	return &single{filter: f, tag: t.Digest.Tag, moves: true}, err
}
