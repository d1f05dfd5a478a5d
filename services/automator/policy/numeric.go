package policy

import (
	"cmp"
	"errors"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

func newNumeric(t api.Track, _ Question) (strategy, error) {
	f, err := newFilter(t.Numeric.Filter)
	return &ordered{f, numberKey}, err
}

// number is a whole number of any length, without its leading zeros.
type number string

func (n number) compare(other key) int {
	o := other.(number)
	return cmp.Or(cmp.Compare(len(n), len(o)), strings.Compare(string(n), string(o)))
}

// numberKey reads ASCII digits and nothing else: no sign, exponent, base or
// fraction. 007 and 7 are equal.
func numberKey(_ Tag, part string) (key, error) {
	if part == "" || strings.Trim(part, "0123456789") != "" {
		return nil, errors.New("is not a number: only digits count")
	}
	return number(strings.TrimLeft(part, "0")), nil
}
