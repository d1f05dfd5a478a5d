package render_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

func TestAnObjectSaysItsTurn(t *testing.T) {
	t.Parallel()
	type hooks = []render.Hook
	for _, c := range []struct {
		annotations      string // "key=value", separated by "; "
		isHook           bool
		install, upgrade hooks
		stage            int
		says             string
	}{
		{annotations: "a=b"},
		{annotations: "slipway.dev/stage=3", stage: 3},
		{annotations: "slipway.dev/stage=-2; argocd.argoproj.io/sync-wave=7", stage: -2},
		{annotations: "argocd.argoproj.io/sync-wave= 7", stage: 7},
		{annotations: "helm.sh/hook-weight=7", stage: 0}, // of no hook
		{annotations: "slipway.dev/hook=pre", isHook: true, install: hooks{"pre"}, upgrade: hooks{"pre"}},
		{annotations: "slipway.dev/hook=pre, fail", isHook: true, install: hooks{"pre", "fail"}, upgrade: hooks{"pre", "fail"}},
		{annotations: "helm.sh/hook=pre-install,pre-upgrade; helm.sh/hook-weight=-5", isHook: true, install: hooks{"pre"}, upgrade: hooks{"pre"}, stage: -5},
		{annotations: "helm.sh/hook=post-install", isHook: true, install: hooks{"post"}},
		{annotations: "helm.sh/hook=test", isHook: true},
		{annotations: "slipway.dev/hook=test; helm.sh/hook=test; helm.sh/hook-weight=3", isHook: true, install: hooks{"test"}, upgrade: hooks{"test"}, stage: 3},
		{annotations: "helm.sh/hook=crd-install"},
		{annotations: "argocd.argoproj.io/hook=PreSync; helm.sh/hook=post-install", isHook: true, install: hooks{"pre"}, upgrade: hooks{"pre"}},
		{annotations: "argocd.argoproj.io/hook=Sync,PostSync", isHook: true, install: hooks{"sync", "post"}, upgrade: hooks{"sync", "post"}},
		{annotations: "argocd.argoproj.io/hook=PreDelete", isHook: true},
		{annotations: "slipway.dev/hook=before", isHook: true, says: `slipway.dev/hook is "before": it is pre, post, test or fail`},
		{annotations: "slipway.dev/stage=first", says: `slipway.dev/stage is "first": it is a whole number`},
		{annotations: "slipway.dev/stage=99999999999", says: "whole number"},
	} {
		annotations := map[string]string{}
		for pair := range strings.SplitSeq(c.annotations, "; ") {
			key, value, _ := strings.Cut(pair, "=")
			annotations[key] = value
		}
		got, err := render.TurnOf(annotations)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.annotations, err, c.says)
			continue
		}
		if err == nil && (got.IsHook != c.isHook || !slices.Equal(got.Install, c.install) || !slices.Equal(got.Upgrade, c.upgrade) || got.Stage != c.stage) {
			t.Errorf("%s: %+v", c.annotations, got)
		}
	}
}

func TestObjectsComeInTheirTurn(t *testing.T) {
	t.Parallel()
	object := func(kind, name, annotation string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: %s\nmetadata: {name: %s, annotations: {%s}}\n", kind, name, annotation)
	}
	all := object("ConfigMap", "late", "slipway.dev/stage: '2'") + object("Pod", "broken", "slipway.dev/hook: fail") +
		object("Pod", "works", "slipway.dev/hook: test, slipway.dev/stage: '-1'") + object("Pod", "told", "slipway.dev/hook: post") + object("ConfigMap", "plain", "a: b") + object("Node", "wide", "a: b") +
		object("Pod", "migrate", "slipway.dev/hook: pre") + object("ConfigMap", "early", "slipway.dev/stage: '-1'") +
		object("Pod", "before-that", "slipway.dev/hook: pre, slipway.dev/stage: '-1'") + object("Namespace", "room", "slipway.dev/stage: '9'") +
		// An Application acts at once, with what lies beside it; a later stage still waits for it.
		"---\napiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web}\n" + object("ServiceAccount", "deployer", "a: b")
	got, err := render.Render(t.Context(), render.Request{FS: fstest.MapFS{"web/all.yaml": {Data: []byte(all)}}, Path: "web"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range got.Objects {
		names = append(names, o.Name)
	}
	if want := []string{"room", "before-that", "migrate", "wide", "early", "plain", "deployer", "web", "late", "told", "works", "broken"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}

	_, err = render.Render(t.Context(), render.Request{FS: fstest.MapFS{"web/all.yaml": {Data: []byte(object("Pod", "a", "slipway.dev/hook: never"))}}, Path: "web"})
	if err == nil || !strings.Contains(err.Error(), `web/all.yaml:2: Pod a: the annotation slipway.dev/hook is "never"`) {
		t.Errorf("a hook that is none gives %v", err)
	}
}

// What Argo CD's users write: a hook that has a new name each time. The name is made
// up of where it stands, so that each render gives the same, and of several each has
// its own.
func TestAHookMayLeaveItsNameToUs(t *testing.T) {
	t.Parallel()
	hook := func(prefix, annotation string) string {
		return fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {generateName: %s, annotations: {%s}}\nspec: {parallelism: 1}\n", prefix, annotation)
	}
	names := func(all string) (names []string, err error) {
		got, err := render.Render(t.Context(), render.Request{FS: fstest.MapFS{"web/all.yaml": {Data: []byte(all)}}, Path: "web"})
		for _, o := range got.Objects {
			names = append(names, o.Name)
			if strings.Contains(string(o.Raw), "generateName") || !strings.Contains(string(o.Raw), "name: "+o.Name) {
				t.Errorf("it is rendered as\n%s", o.Raw)
			}
		}
		return names, err
	}
	long := strings.Repeat("l", 70)
	got, err := names(hook("migrate-", "argocd.argoproj.io/hook: PreSync") + hook("migrate-", "argocd.argoproj.io/hook: PreSync") + hook(long, "slipway.dev/hook: post"))
	if err != nil || len(got) != 3 || got[0] == got[1] || !strings.HasPrefix(got[0], "migrate-") || len(got[2]) != 63 {
		t.Fatalf("%q: %v", got, err)
	}
	changed, err := names(strings.ReplaceAll(hook("migrate-", "argocd.argoproj.io/hook: PreSync"), "1}", "2}"))
	if err != nil || len(changed) != 1 || changed[0] != got[0] {
		t.Errorf("another content has it named %q, not %q: %v", changed, got[0], err)
	}
	if _, err := names(hook("web-", "a: b")); err == nil || !strings.Contains(err.Error(), "web/all.yaml:2: Job: metadata.name is missing: only a hook may have generateName") {
		t.Errorf("what is no hook gives %v", err)
	}
}
