package policy

import "github.com/slipway-cd/slipway/shared/api"

// BuildID says whether a semver track takes the end of a tag for a commit's id,
// by its look alone: of equal versions the one created last is taken then,
// where someone may have meant a variant or a pre-release.
func BuildID(t api.Track, tag string) bool {
	if t.Semver == nil || t.Semver.Match != "" {
		return false
	}
	s := &semverTrack{plain: true}
	v, err := s.parse(tag)
	return err == nil && v.build
}
