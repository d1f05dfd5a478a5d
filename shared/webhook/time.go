package webhook

import (
	"bytes"
	"strconv"
	"time"
)

// Time is when something happened by a sender's clock, in any of the ways in
// which they write it; zero where what is written is none, since an odd time
// stamp loses no push.
type Time struct{ time.Time }

// UnmarshalJSON takes any JSON value.
func (t *Time) UnmarshalJSON(data []byte) error {
	t.Time = ParseTime(string(bytes.Trim(data, `"`)))
	return nil
}

// timeLayouts are RFC 3339, and ISO 8601 as Java's frameworks write it.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05.999999999-0700"}

// ParseTime reads RFC 3339, ISO 8601 with a zone such as +0100, and Unix
// seconds or milliseconds, also as a float. It gives zero for anything else.
func ParseTime(s string) time.Time {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 {
			return t.UTC()
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || !(n >= 1): // also NaN
		return time.Time{}
	case n < 1e11: // the year 5138 in seconds
		return time.UnixMilli(int64(n * 1000)).UTC()
	case n < 1e14:
		return time.UnixMilli(int64(n)).UTC()
	default:
		return time.Time{}
	}
}
