package automator

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// ErrInput says that what the caller gave can't be used.
var ErrInput = errors.New("wrong input")

// Tried is what [Try] found.
type Tried struct {
	policy.Choice
	// Note says what the choice would need to know and can't; empty where
	// there is nothing.
	Note string `json:"note,omitempty"`
}

// Try decides as a policy's track would. track is YAML, as in a policy:
// `semver: ">=1 <2"`. current may be empty. A tag may be followed by @ and its
// digest, which a digest track compares, and, behind white space, by the time
// at which its image was made (RFC 3339), which `newest: {order: created}`
// compares: `main@sha256:… 2026-11-23T20:15:04Z`. What is neither gets a
// verdict that says so.
func Try(track, current string, allowDowngrade bool, tags []string) (Tried, error) {
	var t api.Track
	if err := api.DecodePart("track", []byte(track), &t); err != nil {
		return Tried{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := t.Validate(); err != nil {
		return Tried{}, fmt.Errorf("%w: track: %w", ErrInput, err)
	}
	q := policy.Question{Current: readTag(current), AllowDowngrade: allowDowngrade}
	for _, line := range tags {
		q.Tags = append(q.Tags, readTag(line))
	}
	choice, err := policy.Choose(t, q)
	if err != nil {
		return Tried{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return Tried{choice, note(t, q)}, nil
}

// readTag takes TAG[@DIGEST] [TIME] apart; anything else is the name of a tag
// that can't be one.
func readTag(line string) policy.Tag {
	t := policy.Tag{Name: line}
	if fields := strings.Fields(line); len(fields) == 2 {
		if at, err := time.Parse(time.RFC3339, fields[1]); err == nil {
			t = policy.Tag{Name: fields[0], Created: at}
		}
	}
	if name, digest, ok := strings.Cut(t.Name, "@"); ok && events.ValidDigest(digest) {
		t.Name, t.Digest = name, digest
	}
	return t
}

// note says what a track depends on that tags alone don't show.
func note(t api.Track, q policy.Question) string {
	switch undated, err := policy.Undated(t, q); {
	case t.Follow != nil:
		return fmt.Sprintf("what %s runs is only known while the automator runs", t.Follow.Application)
	case err == nil && len(undated) > 0:
		return fmt.Sprintf("the creation time counts, and %d of the tags have none: give each as TAG TIME, such as 2026-11-23T20:15:04Z", len(undated))
	case t.Digest != nil && q.Current.Name == t.Digest.Tag && undigested(t.Digest.Tag, q.Tags):
		return fmt.Sprintf("what %s points to counts: give it as TAG@DIGEST, here and as the current", t.Digest.Tag)
	}
	return ""
}

func undigested(name string, tags []policy.Tag) bool {
	for _, t := range tags {
		if t.Name == name && t.Digest == "" {
			return true
		}
	}
	return false
}
