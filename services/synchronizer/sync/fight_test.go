package sync

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
)

func drift(name string) []apply.Drift {
	return []apply.Drift{{Item: &apply.Item{Kind: schema.GroupVersionKind{Kind: "ConfigMap"}, Name: name}, Gone: true}}
}

func TestAFightIsRecognised(t *testing.T) {
	t.Parallel()
	var f fight
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for i, want := range []time.Duration{0, 0, firstTruce, 2 * firstTruce, 4 * firstTruce} {
		now = now.Add(10 * time.Second)
		until := f.again(drift("a"), now)
		if want == 0 && !until.IsZero() || want > 0 && until.Sub(now) != want {
			t.Errorf("correction %d: a truce until %s, want %s", i+1, until.Sub(now), want)
		}
	}
	if !f.again(drift("b"), now.Add(time.Second)).IsZero() || f.truce("ConfigMap a", now).IsZero() {
		t.Error("another object is no fight, and ends none")
	}
	var until time.Time
	for range 40 {
		now = now.Add(max(until.Sub(now), time.Second))
		until = f.again(drift("a"), now)
	}
	if until.Sub(now) != longestTruce {
		t.Errorf("the truce is %s, at most %s", until.Sub(now), longestTruce)
	}
	now = now.Add(3 * longestTruce)
	if !f.again(drift("a"), now).IsZero() {
		t.Error("after peace it is a fight at once")
	}
}
