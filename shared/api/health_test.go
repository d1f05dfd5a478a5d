package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestHealthRules(t *testing.T) {
	t.Parallel()
	const head = `apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: web}
spec:
  source: {repository: "https://git.example.com/a/b.git", branch: main, path: .}
  health:
`
	for name, tt := range map[string]struct{ rules, want string }{
		"right":       {`  - {kind: Certificate, group: cert-manager.io, healthy: "status.ready", failed: "status.failed", message: "status.why"}`, ""},
		"two":         {"  - {kind: A, group: x.io, healthy: a}\n  - {kind: B, group: x.io, healthy: a}", ""},
		"no kind":     {`  - {group: x.io, healthy: a}`, "spec.health[0].kind is required"},
		"core":        {`  - {kind: Service, healthy: a}`, "spec.health[0].group \"\" must be a custom kind's group"},
		"version":     {`  - {kind: A, group: x.io/v1, healthy: a}`, "without a version"},
		"no healthy":  {`  - {kind: A, group: x.io, failed: a}`, "spec.health[0].healthy is required"},
		"twice":       {"  - {kind: A, group: x.io, healthy: a}\n  - {kind: A, group: x.io, healthy: b}", "spec.health[1] is a second rule for A of x.io: spec.health[0] is the first"},
		"long":        {`  - {kind: A, group: x.io, healthy: "` + strings.Repeat("a", 5000) + `"}`, "spec.health[0].healthy has 5000 bytes"},
		"other field": {`  - {kind: A, group: x.io, healthy: a, unhealthy: b}`, "app.yaml:7: spec.health[0].unhealthy: unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := api.Decode("app.yaml", []byte(head+tt.rules+"\n"))
			switch {
			case tt.want == "" && (err != nil || len(docs) != 1):
				t.Errorf("%d documents, %v", len(docs), err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v does not say %q", err, tt.want)
			}
		})
	}
}
