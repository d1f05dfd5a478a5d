package policy

import (
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

func newAlphabetical(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Alphabetical.Filter)
	return &ordered{f, textKey}, err
}

// text is compared by its bytes.
type text string

func (s text) compare(other key) int { return strings.Compare(string(s), string(other.(text))) }

func textKey(_ Tag, part string) (key, error) { return text(part), nil }
