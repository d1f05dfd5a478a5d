package parts_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// Whoever asks takes at most a third of the time that there is.
func TestEventuallyLeavesTimeToWhatIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  int // calls in nine seconds
	}{
		"a cheap check":             {0, 900},
		"one that starts a kubectl": {300 * time.Millisecond, 10},
		"one that hangs":            {4 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				err := parts.Eventually(t.Context(), 9*time.Second-time.Millisecond, func() error {
					asked++
					time.Sleep(c.takes)
					return errors.New("not yet")
				})
				if err == nil || !strings.Contains(err.Error(), "not yet") || asked != c.want {
					t.Errorf("asked %d times, not %d: %v", asked, c.want, err)
				}
			})
		})
	}
}
