package health

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

//go:embed rules.yaml
var builtinYAML []byte

// row is one rule of rules.yaml.
type row struct {
	Groups  []string `json:"groups"`
	Kinds   []string `json:"kinds"`
	When    string   `json:"when"`
	Healthy string   `json:"healthy"`
	Failed  string   `json:"failed"`
	Message string   `json:"message"`
}

// table finds the rules of a kind.
type table struct {
	exact map[schema.GroupKind][]*Rule
	any   []*Rule // of every custom kind
}

// builtin is read when the first custom object is seen.
var builtin = sync.OnceValues(func() (*table, error) { return readTable(builtinYAML) })

func readTable(data []byte) (*table, error) {
	var rows []row
	if err := yaml.UnmarshalStrict(data, &rows); err != nil {
		return nil, fmt.Errorf("read rules.yaml: %w", err)
	}
	t := &table{exact: map[schema.GroupKind][]*Rule{}}
	for _, r := range rows {
		at := strings.Join(r.Groups, ",") + " " + strings.Join(r.Kinds, ",")
		rule, err := compile(at, api.HealthRule{Healthy: r.Healthy, Failed: r.Failed, Message: r.Message}, r.When)
		if err != nil {
			return nil, fmt.Errorf("rules.yaml: %w", err)
		}
		if len(r.Groups) == 1 && r.Groups[0] == "*" {
			t.any = append(t.any, rule)
			continue
		}
		for _, group := range r.Groups {
			for _, kind := range r.Kinds {
				key := schema.GroupKind{Group: group, Kind: kind}
				t.exact[key] = append(t.exact[key], rule)
			}
		}
	}
	return t, nil
}

// find gives the first rule that concerns an object; nil when none does.
func (t *table) find(o *unstructured.Unstructured) *Rule {
	kind := o.GroupVersionKind().GroupKind()
	for _, rules := range [][]*Rule{t.exact[kind], t.any} {
		for _, r := range rules {
			if r.matches(o.Object) {
				return r
			}
		}
	}
	return nil
}

// compute says how an object is by our rules, and by those of kstatus where
// we have none.
func compute(o *unstructured.Unstructured) (status.Status, string) {
	if custom(o.GroupVersionKind().Group) {
		rules, err := builtin()
		if err != nil {
			return status.UnknownStatus, err.Error()
		}
		if rule := rules.find(o); rule != nil {
			return ruled(rule, o.Object)
		}
	}
	result, err := status.Compute(o)
	if err != nil {
		return status.UnknownStatus, err.Error()
	}
	return result.Status, strings.TrimSpace(result.Message)
}

// ruled is what a rule says, and what holds for every object before it.
func ruled(rule *Rule, object map[string]any) (status.Status, string) {
	if at(object, "metadata", "deletionTimestamp") != nil {
		return status.TerminatingStatus, "it is being deleted"
	}
	if message, ok := observed(object); !ok {
		return status.InProgressStatus, message
	}
	return rule.judge(object)
}
