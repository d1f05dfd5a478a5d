package rule

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

//go:embed rules/*.yaml
var files embed.FS

// Files are our rules, in the order in which they are read.
var Files = []string{
	"rules/network.yaml", "rules/delivery.yaml", "rules/data.yaml", "rules/storage.yaml", "rules/monitoring.yaml", "rules/platform.yaml", "rules/openshift.yaml",
}

// row is one rule of ours. A group may be "*." and the end of groups' names,
// of which all kinds ("*") are meant; "*" is every custom kind there is.
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
	exact  map[schema.GroupKind][]*Rule
	suffix map[string][]*Rule // by the end of the group's name, without its first word
	any    []*Rule            // of every custom kind
}

// builtin is read when the first custom object is seen.
var builtin = sync.OnceValues(func() (*table, error) {
	t := &table{exact: map[schema.GroupKind][]*Rule{}, suffix: map[string][]*Rule{}}
	for _, file := range Files {
		data, err := files.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if err := t.read(data); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return t, nil
})

// read adds a file's rows.
func (t *table) read(data []byte) error {
	var rows []row
	if err := yaml.UnmarshalStrict(data, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		at := strings.Join(r.Groups, ",") + " " + strings.Join(r.Kinds, ",")
		rule, err := compile(at, api.HealthRule{Healthy: r.Healthy, Failed: r.Failed, Message: r.Message}, r.When)
		if err != nil {
			return err
		}
		for _, group := range r.Groups {
			t.add(group, r.Kinds, rule)
		}
	}
	return nil
}

func (t *table) add(group string, kinds []string, rule *Rule) {
	if group == "*" {
		t.any = append(t.any, rule)
		return
	}
	if end, ok := strings.CutPrefix(group, "*."); ok {
		t.suffix[end] = append(t.suffix[end], rule)
		return
	}
	for _, kind := range kinds {
		key := schema.GroupKind{Group: group, Kind: kind}
		t.exact[key] = append(t.exact[key], rule)
	}
}

// Builtin gives our rule for an object of a custom kind; nil where there is
// none.
func Builtin(o *unstructured.Unstructured) (*Rule, error) {
	if !Custom(o.GroupVersionKind().Group) {
		return nil, nil
	}
	t, err := builtin()
	if err != nil {
		return nil, err
	}
	return t.find(o), nil
}

// find gives the first rule that concerns an object; nil when none does.
func (t *table) find(o *unstructured.Unstructured) *Rule {
	kind := o.GroupVersionKind().GroupKind()
	_, end, _ := strings.Cut(kind.Group, ".")
	for _, rules := range [][]*Rule{t.exact[kind], t.suffix[end], t.any} {
		for _, r := range rules {
			if r.matches(o.Object) {
				return r
			}
		}
	}
	return nil
}

// ownGroups are the API groups of Kubernetes itself, and ours, whose conditions
// follow kstatus.
var ownGroups = map[string]bool{
	api.Group: true,
	"":        true, "apps": true, "autoscaling": true, "batch": true, "extensions": true, "policy": true,
	"admissionregistration.k8s.io": true, "apiextensions.k8s.io": true, "apiregistration.k8s.io": true,
	"authentication.k8s.io": true, "authorization.k8s.io": true, "certificates.k8s.io": true, "coordination.k8s.io": true,
	"discovery.k8s.io": true, "events.k8s.io": true, "flowcontrol.apiserver.k8s.io": true, "internal.apiserver.k8s.io": true,
	"networking.k8s.io": true, "node.k8s.io": true, "rbac.authorization.k8s.io": true, "resource.k8s.io": true,
	"scheduling.k8s.io": true, "storage.k8s.io": true, "storagemigration.k8s.io": true,
}

// Custom says whether a group's kinds are others', made by definitions.
func Custom(group string) bool { return !ownGroups[group] }
