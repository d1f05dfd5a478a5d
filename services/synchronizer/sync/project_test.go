package sync

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

func projectObject(name string, spec map[string]any) *unstructured.Unstructured {
	return projectAt("1", name, spec)
}

func projectAt(version, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": api.APIVersion, "kind": api.ProjectKind, "metadata": map[string]any{"name": name, "resourceVersion": version}, "spec": spec,
	}}
}

func list(items ...any) []any { return items }

func newTestProjects(t *testing.T, changed func(func(string) bool), objects ...*unstructured.Unstructured) *projects {
	t.Helper()
	s := &projects{byName: map[string]*project{}, log: slog.New(slog.DiscardHandler), changed: changed}
	for _, u := range objects {
		s.observe(u, true)
	}
	return s
}

// Each object needs one Project that allows all of it: a repository of one, a
// namespace of another and a kind of a third come to nothing.
func TestAnObjectNeedsOneProject(t *testing.T) {
	t.Parallel()
	at := func(cluster string, namespaces ...any) map[string]any {
		return map[string]any{"cluster": cluster, "namespaces": namespaces}
	}
	s := newTestProjects(t, nil,
		projectObject("apps", map[string]any{
			"namespaces": list("shop"), "repositories": list("h/acme/apps"), "destinations": list(at("test", "shop")),
			"kinds": map[string]any{"deny": list("ClusterRole")},
		}),
		projectObject("base", map[string]any{
			"namespaces": list("shop"), "repositories": list("h/acme/base"), "destinations": list(at("*", "*")),
			"kinds": map[string]any{"allow": list("ClusterRole", "Namespace", "Cake.example.com")},
		}),
		projectObject("other", map[string]any{"namespaces": list("other"), "repositories": list("**"), "destinations": list(at("**", "**"))}),
		projectObject("away", map[string]any{"namespaces": list("shop"), "repositories": list("**"), "destinations": list(at("elsewhere", "**"))}),
	)
	b := &Brain{cfg: Config{Cluster: "test"}, projects: s}
	item := func(group, kind, namespace, name string) *apply.Item {
		return &apply.Item{Kind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}, Namespace: namespace, Name: name, Resource: kube.Resource{
			GroupVersionResource: schema.GroupVersionResource{Resource: "known"}, Namespaced: namespace != "",
		}}
	}
	cake := item("example.com", "Cake", "", "x")
	cake.Resource = kube.Resource{}
	for name, c := range map[string]struct {
		from string
		item *apply.Item
		says []string // by the Projects apps, away and base; nil: it may
	}{
		"apps may":                    {"h/acme/apps", item("", "ConfigMap", "shop", "x"), nil},
		"base may":                    {"h/acme/base", item("rbac.authorization.k8s.io", "ClusterRole", "", "x"), nil},
		"base's kind from apps":       {"h/acme/apps", item("rbac.authorization.k8s.io", "ClusterRole", "", "x"), []string{"apps doesn't allow the kind ClusterRole (spec.kinds.deny)", "base doesn't allow the repository h/acme/apps", "away doesn't allow the cluster test"}},
		"base's namespace from apps":  {"h/acme/apps", item("", "ConfigMap", "kube-system", "x"), []string{"apps doesn't allow the namespace kube-system", "base doesn't allow the repository"}},
		"apps' kind from base":        {"h/acme/base", item("", "ConfigMap", "shop", "x"), []string{"apps doesn't allow the repository", "base doesn't allow the kind ConfigMap (spec.kinds.allow)"}},
		"a namespace is its own":      {"h/acme/apps", item("", "Namespace", "", "kube-system"), []string{"apps doesn't allow the namespace kube-system"}},
		"one's own namespace":         {"h/acme/apps", item("", "Namespace", "", "shop"), nil},
		"a kind that isn't known yet": {"h/acme/apps", cake, []string{"apps doesn't allow the namespace target"}},
		"known to base":               {"h/acme/base", cake, nil},
	} {
		got := b.objection(s.governing("shop"), events.GitRepository(c.from), going("target"), c.item)
		if (got == "") != (c.says == nil) {
			t.Errorf("%s: %q", name, got)
		}
		for _, word := range c.says {
			if !strings.Contains(got, word) {
				t.Errorf("%s: %q doesn't say %q", name, got, word)
			}
		}
	}
	if len(s.governing("unknown")) != 0 || len(s.governing("other")) != 1 {
		t.Error("the wrong Projects govern")
	}
}

func TestWhoMayUseTheConfigsCredentials(t *testing.T) {
	t.Parallel()
	s := newTestProjects(t, nil, projectObject("shop", map[string]any{
		"namespaces": list("shop", "platform-*"), "repositories": list("h/acme/private"), "destinations": list(map[string]any{"cluster": "*", "namespaces": list("*")}),
	}))
	b := &Brain{cfg: Config{Trusted: []string{"platform", "platform-2"}}, projects: s, repos: newRepositories([]Repository{
		{Name: "h/acme/private", Credentials: true}, {Name: "h/acme/public"}, {Name: "h/acme/other", Credentials: true},
	}, nil, nil)}
	for _, c := range []struct {
		namespace, name, secret string
		may                     bool
	}{
		{"platform", "h/acme/private", "", true},
		{"shop", "h/acme/private", "", true},
		{"shop", "h/acme/public", "", false}, // its Project doesn't list it
		{"shop", "h/acme/other", "", false},
		{"shop", "h/else/where", "git", false},
		{"shop", "h/acme/private", "git", true},
		{"platform-2", "h/acme/other", "", false}, // trusted, and governed
		{"tenant", "h/acme/private", "", false},
		{"tenant", "h/acme/public", "", true},
		{"tenant", "h/acme/private", "git", true}, // with credentials of its own
		{"tenant", "h/else/where", "", true},      // to be told that the config hasn't it
	} {
		p := place{name: events.GitRepository(c.name), ref: api.Ref{Kind: api.RefBranch, Value: "main"}}
		if c.secret != "" {
			p.secret = c.namespace + "/" + c.secret
		}
		err := b.mayUse(c.namespace, p)
		if refused, ok := errors.AsType[*refusedError](err); (err == nil) != c.may || ok && refused.reason != reasonProject {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestWhoMayWaitForAnotherNamespace(t *testing.T) {
	t.Parallel()
	anywhere := list(map[string]any{"cluster": "*", "namespaces": list("*")})
	s := newTestProjects(t, nil,
		projectObject("shop", map[string]any{"namespaces": list("shop", "shop-*"), "repositories": list("**"), "destinations": anywhere}),
		projectObject("tools", map[string]any{"namespaces": list("shop-db", "tools"), "repositories": list("**"), "destinations": anywhere}),
	)
	b := &Brain{cfg: Config{Trusted: []string{"platform", "tools"}}, projects: s}
	for _, c := range []struct {
		from, on string
		says     string
	}{
		{"shop", "", ""},
		{"shop", "shop", ""},
		{"shop", "shop-db", ""},
		{"shop-db", "tools", ""}, // one of its two Projects has both
		{"shop", "tools", "Project shop of namespace shop doesn't govern tools"},
		{"shop", "platform", "spec.dependsOn[1] is in another namespace"},
		{"platform", "shop", ""},
		{"platform", "tenant", ""},
		{"tools", "platform", "Project tools of namespace tools doesn't govern platform"}, // trusted, and governed
		{"tenant", "tenant", ""},
		{"tenant", "shop", "namespace tenant is not trusted, and has no Project"},
	} {
		err := b.mayWaitFor(c.from, []api.Dependency{{Name: "web"}, {Name: "database", Namespace: c.on}})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAProjectThatCantBeReadAllowsNothing(t *testing.T) {
	t.Parallel()
	var told []func(string) bool
	s := newTestProjects(t, func(f func(string) bool) { told = append(told, f) })
	broken := projectObject("broken", map[string]any{"namespaces": list("a**"), "repositories": list("**"), "destinations": list(map[string]any{"cluster": "*", "namespaces": list("*")})})
	s.observe(broken, false)
	all := s.governing("anything")
	if len(all) != 1 || all[0].Repository("h/a/b") || !strings.Contains(projectNames(all), "can't be read") {
		t.Fatalf("it governs %v", all)
	}
	b := &Brain{cfg: Config{Cluster: "test"}, projects: s}
	if why := b.objection(all, "h/a/b", going("x"), &apply.Item{Kind: schema.GroupVersionKind{Kind: "ConfigMap"}, Namespace: "x"}); !strings.Contains(why, "can't be read") {
		t.Errorf("an object: %q", why)
	}
	s.observe(projectAt("2", "broken", map[string]any{"namespaces": list("a"), "repositories": list("**"), "destinations": list(map[string]any{"cluster": "*", "namespaces": list("*")})}), false)
	s.observe(broken, false) // the watch, which is behind
	if len(s.governing("anything")) != 0 {
		t.Error("an older one counts")
	}
	s.remove(broken) // of the one before
	if len(s.governing("a")) != 1 {
		t.Error("the deletion of an older one counts")
	}
	s.remove(projectAt("3", "broken", nil))
	if len(s.governing("a")) != 0 || len(told) != 3 || !told[1]("b") || !told[2]("a") || told[2]("b") {
		t.Errorf("told %d times", len(told))
	}
}

// going is a run whose objects go to a namespace of the cluster test.
func going(to string) *run {
	return &run{app: &app{}, cluster: &cluster{name: "test"}, spec: api.ApplicationSpec{Destination: api.Destination{Namespace: to}}}
}
