package health_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
)

var fuzzRules = []api.HealthRule{{
	Kind: "Any", Group: "fuzz.example.com",
	Healthy: "status.conditions.exists(c, c.type == 'Ready') && object.condition('Ready', status.parents).status == 'True'",
	Failed:  "status.phase.matches('(a|b)*c') || metadata.generation > 3.5",
	Message: "'at ' + string(spec.replicas) + metadata.name",
}}

// own is an object of ours of the kind A of x.io.
func own(tb testing.TB, parts map[string]any) *unstructured.Unstructured {
	tb.Helper()
	object := map[string]any{"apiVersion": "x.io/v1", "kind": "A", "metadata": map[string]any{
		"name": "a", "generation": int64(2), "annotations": map[string]any{health.OwnerAnnotation: "c/ns/app", "note": "seven"},
	}}
	maps.Copy(object, parts)
	return live(tb, object)
}

func byRule(tb testing.TB, source api.HealthRule, u *unstructured.Unstructured) (status.Status, string) {
	tb.Helper()
	source.Kind, source.Group = "A", "x.io"
	rules, err := rule.Compile([]api.HealthRule{source})
	if err != nil {
		tb.Fatal(err)
	}
	kind := schema.GroupVersionKind{Group: "x.io", Version: "v1", Kind: "A"}
	return health.Judge(health.Target{Kind: kind, Rule: rules.For(kind)}, see(tb, u))
}

func TestUserRules(t *testing.T) {
	t.Parallel()
	ready := api.HealthRule{Healthy: "status.phase == 'Up'", Failed: "status.phase == 'Lost'", Message: "'it is ' + status.phase"}
	phase := func(p any) map[string]any { return map[string]any{"status": map[string]any{"phase": p}} }
	for name, tt := range map[string]struct {
		rule  api.HealthRule
		parts map[string]any
		want  status.Status
		says  string
	}{
		"healthy":               {ready, phase("Up"), status.CurrentStatus, ""},
		"not yet":               {ready, phase("Starting"), status.InProgressStatus, "it is Starting"},
		"failed":                {ready, phase("Lost"), status.FailedStatus, "it is Lost"},
		"no status":             {ready, nil, status.InProgressStatus, "its rule for healthy can't say yet: no such key: phase"},
		"another type":          {ready, phase(int64(7)), status.InProgressStatus, "not yet so: status.phase == 'Up'"},
		"status is no mapping":  {ready, map[string]any{"status": "odd"}, status.InProgressStatus, "can't say yet"},
		"failed goes first":     {api.HealthRule{Healthy: "true", Failed: "true"}, nil, status.FailedStatus, "its rule says that it failed: true"},
		"failed can't say":      {api.HealthRule{Healthy: "false", Failed: "status.a.b"}, nil, status.InProgressStatus, "its rule for failed can't say yet: no such key: a"},
		"healthy all the same":  {api.HealthRule{Healthy: "true", Failed: "status.a.b"}, nil, status.CurrentStatus, ""},
		"not a boolean":         {api.HealthRule{Healthy: "status.phase"}, phase("Up"), status.InProgressStatus, "it gives string, not bool"},
		"own words":             {api.HealthRule{Healthy: "has(status.phase)"}, nil, status.InProgressStatus, "not yet so: has(status.phase)"},
		"metadata and spec":     {api.HealthRule{Healthy: "metadata.annotations.note == 'seven' && spec.size == 3 && object.spec.size > 2.5"}, map[string]any{"spec": map[string]any{"size": int64(3)}}, status.CurrentStatus, ""},
		"before ours":           {api.HealthRule{Healthy: "true"}, map[string]any{"spec": map[string]any{"forProvider": map[string]any{}}}, status.CurrentStatus, ""},
		"generation":            {api.HealthRule{Healthy: "true"}, map[string]any{"status": map[string]any{"observedGeneration": int64(1)}}, status.InProgressStatus, "has seen generation 1, and it is at 2"},
		"a generation as text":  {api.HealthRule{Healthy: "true"}, map[string]any{"status": map[string]any{"observedGeneration": "1"}}, status.InProgressStatus, "has seen generation 1"},
		"a condition of before": {api.HealthRule{Healthy: "object.condition('Ready').status == 'True'", Message: "object.condition('Ready').message"}, map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "observedGeneration": int64(1)}}}}, status.InProgressStatus, "condition Ready is of generation 1, and it is at 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, message := byRule(t, tt.rule, own(t, tt.parts))
			if got != tt.want || !strings.Contains(message, tt.says) {
				t.Errorf("%s, %q; not %s, %q", got, message, tt.want, tt.says)
			}
		})
	}
}

func TestALargeObjectIsKeptInPart(t *testing.T) {
	t.Parallel()
	nodes := map[string]any{}
	for i := range 2000 {
		nodes[fmt.Sprintf("node-%d", i)] = map[string]any{"phase": "Running", "message": strings.Repeat("x", 100)}
	}
	u := own(t, map[string]any{
		"spec":   map[string]any{"text": strings.Repeat("y", 2*health.MaxContent), "size": int64(1)},
		"status": map[string]any{"nodes": nodes, "phase": "Up"},
	})
	if kept := see(t, u).Kept(); kept == 0 || kept > health.MaxContent+1024 {
		t.Errorf("%d bytes are kept", kept)
	}
	if got, message := byRule(t, api.HealthRule{Healthy: "status.phase == 'Up' && spec.size == 1"}, u); got != status.CurrentStatus {
		t.Errorf("the small fields are not there: %s, %s", got, message)
	}
	got, message := byRule(t, api.HealthRule{Healthy: "status.nodes.all(n, status.nodes[n].phase == 'Succeeded')"}, u)
	if got != status.InProgressStatus || !strings.Contains(message, "16 KiB") || !strings.Contains(message, "status.nodes") {
		t.Errorf("%s, %q", got, message)
	}
}

func TestOnlyWhatIsOursAndCustomIsKept(t *testing.T) {
	t.Parallel()
	stranger := own(t, nil)
	stranger.SetAnnotations(nil)
	builtin := own(t, nil)
	builtin.SetAPIVersion("apps/v1")
	builtin.SetKind("Deployment")
	if a, b, c := see(t, stranger).Kept(), see(t, builtin).Kept(), see(t, own(t, nil)).Kept(); a != 0 || b != 0 || c == 0 {
		t.Errorf("of a stranger's %d bytes are kept, of a Deployment %d, of ours %d", a, b, c)
	}
}

func BenchmarkReduce(b *testing.B) {
	for _, s := range samples(b) {
		switch s.Name {
		case "a certificate that is issued", "a route that its gateway takes", "a claim that is ready", "a job that is done, by kstatus":
			u := live(b, s.Object)
			b.Run(strings.ReplaceAll(s.Name, " ", "-"), func(b *testing.B) {
				for b.Loop() {
					_, _ = health.Reduce(u)
				}
			})
		}
	}
}

func BenchmarkUserRule(b *testing.B) {
	rules, err := rule.Compile([]api.HealthRule{{Kind: "A", Group: "x.io", Healthy: "object.condition('Ready').status == 'True'", Failed: "status.?phase.orValue('') == 'Failed'"}})
	if err != nil {
		b.Fatal(err)
	}
	kind := schema.GroupVersionKind{Group: "x.io", Kind: "A"}
	seen := see(b, own(b, map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}}))
	for b.Loop() {
		_, _ = health.Judge(health.Target{Rule: rules.For(kind)}, seen)
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := rule.Compile(fuzzRules); err != nil {
			b.Fatal(err)
		}
	}
}
