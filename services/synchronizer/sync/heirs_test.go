package sync

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// One that can't be rendered may want what an application no longer has, if the
// change that took it touches both; what broke it before, or after, holds up nothing
// unless nobody can know.
func TestWhoeverTheSameChangeTouchesMayWantIt(t *testing.T) {
	t.Parallel()
	//                    a   b         c        d        e        f
	branch := lineMirror{"", "other/x", "web/a", "web/b", "other/y", "third/z"}
	both := lineMirror{"", "other/x", "shared/a", "third/y", "other/y"}
	swap := lineMirror{"", "third/x", "shared/a", "shared/a"}
	for name, c := range map[string]struct {
		branch              lineMirror
		healthy, tried, now string
		given               string
		want                bool
		head                string // of which it isn't yet
	}{
		"broken before":                          {branch, "a", "a", "d", "", false, ""},
		"broken before, at the commit attempted": {branch, "b", "b", "c", "", false, ""},
		"broken since":                           {branch, "a", "a", "f", "", true, ""},
		"broken since what was healthy":          {branch, "a", "e", "f", "", true, ""},
		"by the same commit":                     {both, "b", "b", "c", "", true, ""},
		"by the same commit, and others since":   {both, "b", "b", "d", "", true, ""},
		"the branch went back over it":           {branch, "e", "e", "b", "", true, ""},
		"back over others":                       {branch, "d", "d", "b", "", false, ""},
		"it was given up before":                 {branch, "f", "f", "f", "a", true, ""},
		"it was given up since it was broken":    {branch, "d", "d", "d", "b", false, ""},
		"the branch went back over what was tried, and not over what was healthy": {swap, "a", "c", "d", "", true, ""},
		"nothing was ever healthy":         {branch, "", "b", "c", "", false, ""},
		"broken by what it hasn't got yet": {branch, "a", "a", "d", "", true, "e"},
		"it is another for another reason": {branch, "d", "d", "f", "", true, ""}, // its spec, say
	} {
		r := &repo{mirror: c.branch, index: newIndex()}
		r.index.set("shop/web", []string{"shared", "web"})
		r.index.set("shop/other", []string{"other", "shared"})
		n := &run{app: &app{key: "shop/web"}, repo: r, commit: c.now, lastHealthy: c.healthy, lastTried: c.tried}
		q := (&Brain{}).ask(n)
		if c.head != "" {
			q.heads[r] = testCommit(c.head)
		}
		q.touched["shop/other"], q.answers["shop/other"] = true, &answer{}
		gone := api.InventoryEntry{Given: c.given}
		if got := q.sameChange(t.Context(), "shop/other", gone); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		r.index.drop("shop/other")
		q.answers["shop/other"].inputs = []string{"other", "shared"}
		if got := q.sameChange(t.Context(), "shop/other", gone); got != c.want {
			t.Errorf("%s, as it is rendered now: %v", name, got)
		}
		q.touched["shop/other"] = false
		if q.sameChange(t.Context(), "shop/other", gone) {
			t.Errorf("%s: one of another repository", name)
		}
	}
}

// A run is of a commit; by the head, which is further, its application may have again
// what it gave up.
func TestWhatGitHasAgainIsItsOwn(t *testing.T) {
	t.Parallel()
	object := identity{cluster: "test", kind: "ConfigMap", namespace: "shop", name: "a"}
	has := &answer{application: &api.Application{}, objects: map[identity]*apply.Item{object: {}}}
	for name, c := range map[string]struct {
		head string
		now  *answer
		want apply.Claim
	}{
		"it is of the head":     {"c", has, apply.Claim{}},
		"it has it again":       {"d", has, apply.Claim{Name: "test/shop/web", Sure: true, Given: "a"}},
		"it still has it not":   {"d", &answer{application: &api.Application{}, objects: map[identity]*apply.Item{}}, apply.Claim{}},
		"it is to be no more":   {"d", &answer{sure: true}, apply.Claim{}},
		"it can't be rendered":  {"d", &answer{application: &api.Application{Status: &api.ApplicationStatus{Inventory: []api.InventoryEntry{{Kind: "ConfigMap", Namespace: "shop", Name: "a"}}}}}, apply.Claim{Name: "test/shop/web", Given: "a"}},
		"nor has it the object": {"d", &answer{application: &api.Application{}}, apply.Claim{}},
	} {
		r := &repo{mirror: lineMirror{"", "web/a", "web/b", "web/c"}, index: newIndex()}
		n := &run{app: &app{key: "shop/web", name: events.Application{Cluster: "test", Namespace: "shop", Name: "web"}}, repo: r, commit: "c"}
		q := (&Brain{cfg: Config{Cluster: "test"}}).ask(n)
		q.heads[r], q.answers["shop/web"] = testCommit(c.head), c.now
		got, err := q.again(t.Context(), api.InventoryEntry{Kind: "ConfigMap", Namespace: "shop", Name: "a", Given: "a"}, object)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// An Application that its owner has just made lies in the informer's store before
// anybody has noticed it.
func TestAnApplicationThatWasJustMadeIsAsked(t *testing.T) {
	t.Parallel()
	b := &Brain{cfg: Config{Cluster: "test"}, clients: &kube.Clients{}, own: &cluster{name: "test"}}
	b.apps = newApplications(b)
	made := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": api.APIVersion, "kind": api.ApplicationKind, "metadata": map[string]any{"namespace": "shop", "name": "made"}, "spec": map[string]any{},
	}}
	if err := b.apps.informer.GetStore().Add(made); err != nil {
		t.Fatal(err)
	}
	r := &repo{mirror: lineMirror{"", "web/a", "web/b"}, index: newIndex()}
	root := &app{key: "slipway-system/root"}
	b.apps.byKey[root.key], b.apps.bySource[r.key()] = root, map[string]*app{root.key: root}
	q := b.ask(&run{app: &app{key: "shop/web"}, repo: r, cluster: b.own, commit: "c", lastHealthy: "b", lastTried: "b"})
	q.heads[r] = testCommit("c")
	q.answers[root.key] = &answer{application: &api.Application{}, objects: map[identity]*apply.Item{b.itself("shop", "made"): {Object: made}}}
	q.answers["shop/made"] = &answer{application: &api.Application{}}
	if got := q.others(t.Context(), ""); !slices.Contains(got, "shop/made") {
		t.Errorf("asked are %q", got)
	}
}
