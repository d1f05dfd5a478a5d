package rule

import (
	"fmt"
	"sync"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

// Applications are compiled side by side, wrong ones too. It is the race detector
// that finds fault.
func TestRulesAreCompiledSideBySide(t *testing.T) {
	t.Parallel()
	var done sync.WaitGroup
	for i := range 16 {
		done.Go(func() {
			text := "spec.l.all(a, spec.l.exists(b, a == b))"
			if i%2 == 0 {
				text = fmt.Sprintf("unknown%d.all(a, true)", i)
			}
			if _, err := compile("rule", api.HealthRule{Healthy: text}, ""); (err != nil) != (i%2 == 0) {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
	done.Wait()
}
