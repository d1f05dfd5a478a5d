package automator

import (
	"errors"
	"fmt"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// ErrInput says that what the caller gave can't be used.
var ErrInput = errors.New("wrong input")

// Try decides as a policy's track would. track is YAML, as in a policy:
// `semver: ">=1 <2"`. current may be empty.
func Try(track, current string, allowDowngrade bool, tags []string) (policy.Choice, error) {
	var t api.Track
	if err := api.DecodePart("track", []byte(track), &t); err != nil {
		return policy.Choice{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := t.Validate(); err != nil {
		return policy.Choice{}, fmt.Errorf("%w: track: %w", ErrInput, err)
	}
	q := policy.Question{Current: current, AllowDowngrade: allowDowngrade}
	for _, name := range tags {
		q.Tags = append(q.Tags, policy.Tag{Name: name})
	}
	choice, err := policy.Choose(t, q)
	if err != nil {
		return choice, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return choice, nil
}
