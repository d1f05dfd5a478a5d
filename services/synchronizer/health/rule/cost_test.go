package rule

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"

	"github.com/slipway-cd/slipway/shared/api"
)

// dear are expressions whose cost CEL counts, or we do.
var dear = map[string]string{
	"loops":      "spec.l.all(a, spec.l.all(b, spec.l.all(c, true)))",
	"lists":      "spec.l.map(a, spec.l.map(b, spec.l)).size() > 0",
	"conditions": "spec.l.all(a, object.condition('x', spec.l).status == 'Unknown')",
	"format":     "spec.l.all(a, '%s'.format([spec.l]) != '')",
	"text":       "spec.l.all(a, spec.l.map(b, 'text').join(',').replace('t', 'tttttttttt') != '')",
	"patterns":   "spec.l.all(a, spec.l.map(b, 'text').join(',').matches('(t+e+)+!') == false)",
}

func compiled(t *testing.T, healthy string) *Rule {
	t.Helper()
	r, err := compile("rule", api.HealthRule{Healthy: healthy}, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func large(n int) map[string]any {
	l := make([]any, n)
	for i := range l {
		l[i] = int64(i)
	}
	return map[string]any{"spec": map[string]any{"l": l}}
}

func TestCostIsLimited(t *testing.T) {
	t.Parallel()
	for name, expression := range dear {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, message := compiled(t, expression).Judge(large(2000), time.Time{})
			if state != status.InProgressStatus || !strings.Contains(message, "cost limit exceeded") {
				t.Errorf("%s, %q", state, message)
			}
		})
	}
}

func TestAnExpressionIsStopped(t *testing.T) {
	t.Parallel()
	// A comparison costs 1, however large what is compared.
	r := compiled(t, "spec.l.all(a, spec.l.all(b, object == object))")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluate(ctx, r.healthy, scope(large(20_000))); !errors.Is(err, errSlow) {
		t.Error(err)
	}
	state, message := r.Judge(large(20_000), time.Now().Add(time.Hour))
	if state != status.UnknownStatus || !strings.Contains(message, errSlow.Error()) {
		t.Errorf("%s, %q", state, message)
	}
	if state, _ := compiled(t, "true").Judge(large(1), time.Now().Add(-time.Second)); state != status.UnknownStatus {
		t.Errorf("after the deadline: %s", state)
	}
}
