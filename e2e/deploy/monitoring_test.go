package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/e2e/parts"
)

var update = flag.Bool("update", false, "write the golden files again")

type alert struct {
	Alert, Expr string
	Annotations map[string]string
}

func monitoring(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/monitoring", name))
	must(t, err)
	return string(text)
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	must(t, yaml.Unmarshal([]byte(monitoring(t, "alerts.yaml")), &file))
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 5 {
		t.Fatalf("only %d alerts: this test would prove nothing", len(all))
	}
	return all
}

// promtool runs the real one on the alerts, and on their tests where it is told
// to test rules.
func promtool(t *testing.T, rules string, args ...string) (string, error) {
	t.Helper()
	program, err := parts.Program(t.Context(), parts.PromtoolProgram)
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "alerts.yaml"), []byte(rules), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "alerts_test.yaml"), []byte(monitoring(t, "alerts_test.yaml")), 0o600))
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	text := monitoring(t, "alerts.yaml")
	if out, err := promtool(t, text, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, text, "test", "rules", "alerts_test.yaml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// Each has a case in which it fires, and one in which it doesn't.
	for _, a := range alerts(t) {
		for what, expr := range map[string]string{"never": "vector(1) > 2", "always": "vector(1)"} {
			t.Run(a.Alert+" "+what, func(t *testing.T) {
				t.Parallel()
				var file map[string]any
				must(t, yaml.Unmarshal([]byte(text), &file))
				for _, r := range file["groups"].([]any)[0].(map[string]any)["rules"].([]any) { //nolint:forcetypeassert // as alerts has read it
					if r := r.(map[string]any); r["alert"] == a.Alert { //nolint:forcetypeassert // likewise
						r["expr"] = expr
					}
				}
				other, err := yaml.Marshal(file)
				must(t, err)
				if out, err := promtool(t, string(other), "test", "rules", "alerts_test.yaml"); err == nil {
					t.Errorf("no case of alerts_test.yaml tells it from one that %s fires:\n%s", what, out)
				}
			})
		}
	}
}

func TestTheOperatorsRuleHasTheSameAlerts(t *testing.T) {
	want := deploy.Rule(monitoring(t, "alerts.yaml"))
	file := filepath.Join(root(t), "deploy/monitoring/prometheusrule.yaml")
	if *update {
		must(t, os.WriteFile(file, []byte(want), 0o644))
	}
	if monitoring(t, "prometheusrule.yaml") != want {
		t.Error("deploy/monitoring/prometheusrule.yaml is not what alerts.yaml says: make golden")
	}
	var rule struct{ Spec any }
	var plain any
	must(t, yaml.Unmarshal([]byte(want), &rule))
	must(t, yaml.Unmarshal([]byte(monitoring(t, "alerts.yaml")), &plain))
	if fmt.Sprint(rule.Spec) != fmt.Sprint(plain) {
		t.Errorf("the rule says\n%v\nand the file\n%v", rule.Spec, plain)
	}
}

func TestEachAlertHasARunbook(t *testing.T) {
	const page = "https://github.com/slipway-cd/slipway/blob/main/"
	for _, a := range alerts(t) {
		target, ours := strings.CutPrefix(a.Annotations["runbook_url"], page)
		if !ours || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary, a description or a runbook of ours", a.Alert)
			continue
		}
		file, anchor, _ := strings.Cut(target, "#")
		text, err := os.ReadFile(filepath.Join(root(t), file))
		must(t, err)
		if anchor != strings.ToLower(a.Alert) || !strings.Contains(string(text), "\n## "+a.Alert+"\n") {
			t.Errorf("%s leads to %s, where there is no section of its own", a.Alert, target)
		}
	}
}

var metricName = regexp.MustCompile(`\b(slipway|process|go)_[a-z0-9_]+\b`)

// named are the metrics in the expressions of alerts, boards and scaling, with
// where they stand.
func named(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(where, text string) {
		for _, name := range metricName.FindAllString(text, -1) {
			found[name] = where
		}
	}
	for _, a := range alerts(t) {
		add("alert "+a.Alert, a.Expr)
	}
	asked := boards(t)
	for file, exprs := range asked {
		for _, expr := range exprs {
			add(file, expr)
		}
	}
	for _, file := range []string{"keda/scaledobjects.yaml", "hpa/autoscalers.yaml"} {
		text, err := os.ReadFile(filepath.Join(root(t), deploy.Folder, "overlays", file))
		must(t, err)
		add(file, string(text))
	}
	if len(asked) < 2 || len(found) < 15 {
		t.Fatalf("only %d boards and %v: this test would prove nothing", len(asked), slices.Sorted(maps.Keys(found)))
	}
	return found
}

// fields are the texts of that name, however deep.
func fields(v any, name string) (all []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			all = append(all, fields(e, name)...)
		}
	case map[string]any:
		for key, e := range v {
			if text, ok := e.(string); ok && key == name {
				all = append(all, text)
			}
			all = append(all, fields(e, name)...)
		}
	}
	return all
}

// missing are the metrics that alerts, boards and scaling name and the text of
// /metrics doesn't have.
func missing(t *testing.T, metrics string) (all []string) {
	t.Helper()
	for name, where := range named(t) {
		if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(metrics) {
			all = append(all, name+" of "+where)
		}
	}
	slices.Sort(all)
	return all
}

// boards are the queries of each board, by its file.
func boards(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "deploy/monitoring/boards/*.json"))
	must(t, err)
	all := map[string][]string{}
	for _, file := range files {
		var board any
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, json.Unmarshal(text, &board))
		all[filepath.Base(file)] = fields(board, "expr")
	}
	return all
}

// TestBoardsAskWhatPrometheusUnderstands has promtool read the boards' queries, as
// rules.
func TestBoardsAskWhatPrometheusUnderstands(t *testing.T) {
	t.Parallel()
	variables := strings.NewReplacer("$namespace", "slipway-system", "$__rate_interval", "5m")
	var rules []map[string]string
	for _, exprs := range boards(t) {
		for _, expr := range exprs {
			rules = append(rules, map[string]string{"record": fmt.Sprintf("board:%d", len(rules)), "expr": variables.Replace(expr)})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "boards", "rules": rules}}})
	must(t, err)
	if out, err := promtool(t, string(text), "check", "rules", "--lint=none", "alerts.yaml"); err != nil || !strings.Contains(out, fmt.Sprintf("%d rules found", len(rules))) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, strings.Replace(string(text), "max(", "most(", 1), "check", "rules", "alerts.yaml"); err == nil {
		t.Errorf("promtool takes anything:\n%s", out)
	}
}
