package sync

import (
	"testing"
	"time"
)

func TestWhatIsGoneIsMadeAgainEverLessOften(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var g gone
	if wait := g.wait(now); wait != goneFor {
		t.Errorf("at first %v", wait)
	}
	if wait := g.wait(now.Add(goneFor)); wait != 0 {
		t.Errorf("after it %v", wait)
	}
	for tries, want := range map[int]time.Duration{1: 2 * time.Second, 3: 8 * time.Second, 6: longestGone, 100: longestGone} {
		g = gone{tries: tries}
		if wait := g.wait(now); wait != want {
			t.Errorf("after %d tries %v", tries, wait)
		}
	}
}
