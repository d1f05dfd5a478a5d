package sync

import (
	"testing"
	"time"
)

func TestLooksAreASmallPartOfTheTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for took, want := range map[time.Duration]time.Duration{
		10 * time.Microsecond: 0, paceFree: 0, 2 * time.Millisecond: 38 * time.Millisecond, 10 * time.Second: time.Second,
	} {
		var p pace
		p.took(took, now)
		if wait := max(p.wait(now), 0); wait != want {
			t.Errorf("after %v it waits for %v, want %v", took, wait, want)
		}
		if p.wait(now.Add(want)) > 0 {
			t.Errorf("after %v the pause doesn't end", took)
		}
	}
}
