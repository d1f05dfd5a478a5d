package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

// errUndated says that a tag can't be compared without its creation time.
var errUndated = errors.New("has no known creation time")

func newNewest(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Newest.Filter)
	if err != nil {
		return nil, err
	}
	by, ok := map[api.Order]func(Tag, string) (key, error){
		api.OrderNumeric: numberKey, api.OrderAlphabetical: textKey, api.OrderCreated: ageKey,
	}[t.Newest.Order]
	if !ok {
		return nil, fmt.Errorf("order %q is not known", t.Newest.Order)
	}
	return &ordered{f, by}, nil
}

// age is when an image was made.
type age time.Time

func (a age) compare(other key) int { return time.Time(a).Compare(time.Time(other.(age))) }

func ageKey(t Tag, _ string) (key, error) {
	if t.Created.IsZero() {
		return nil, errUndated
	}
	return age(t.Created), nil
}
