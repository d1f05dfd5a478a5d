package sync

import (
	"testing"
	"time"
)

func TestWhatWakesSaysHowOldARangeMayBe(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		reasons []string
		resync  time.Duration
		want    time.Time
	}{
		"a commit":               {[]string{ReasonCommit}, time.Hour, now},
		"a spec, after a resync": {[]string{ReasonResync, ReasonSpec}, time.Hour, now},
		"a resync":               {[]string{ReasonResync}, time.Hour, now.Add(-time.Minute)},
		"a quick resync":         {[]string{ReasonResync}, 2 * time.Second, now.Add(-time.Second)},
		"drift":                  {[]string{ReasonDrift}, time.Hour, time.Time{}},
		"drift and a resync":     {[]string{ReasonResync, ReasonDrift}, time.Hour, time.Time{}},
		"drift and a commit":     {[]string{ReasonDrift, ReasonCommit}, time.Hour, now},
		"a variable":             {[]string{ReasonVariables}, time.Hour, time.Time{}},
	} {
		work := Work{Since: now}
		for _, r := range c.reasons {
			work.Wakes = append(work.Wakes, Wake{Reason: r})
		}
		if got := chartSince(work, c.resync); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
