package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestSynchronizer(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	outer := t
	one, two := b.image(t, "acme/web", "1.0.0"), b.image(t, "acme/web", "1.1.0")
	first := b.push(t, "first", map[string]string{
		"apps/web/web.yaml": webManifest("web", one), "apps/web/old.yaml": settings("old", "x"),
		"apps/other/cm.yaml":                settings("other", "1"),
		"apps/kust/base/cm.yaml":            settings("kust", "base"),
		"apps/kust/base/kustomization.yaml": "resources: [cm.yaml]\n",
		"apps/kust/prod/kustomization.yaml": "namePrefix: prod-\nresources: [../base]\n",
	})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-A")
		return err
	}))
	must(t, b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n"))
	must(t, b.cluster.Apply(t.Context(), application("shop", "web", b.url, "apps/web", "  sync: {timeout: 4s}\n")+
		application("shop", "other", b.url, "apps/other", "")+application("shop", "kust", b.url, "apps/kust/prod", "")))

	t.Run("a first deployment becomes healthy", func(t *testing.T) {
		s := b.becomes(t, "shop", "web", "True", first)
		if s.Revision != first || s.Healthy != first || !slices.Equal(s.Images, []string{one}) || len(s.Inventory) != 2 || s.Inventory[0].State != api.Applied || s.Inventory[0].UID == "" {
			t.Errorf("status %+v", s)
		}
		b.becomes(t, "shop", "kust", "True", first)
		b.becomes(t, "shop", "other", "True", first)
		e := b.hears(t, events.ServiceDeployedType, "test/shop/web", func(events.Event) bool { return true })
		b.hears(t, events.PipelineRunStartedType, "test/shop/web", onChain(e.ChainID))
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Success, first))
		_, err := b.cluster.Kubectl(t.Context(), "wait", "--for=condition=Ready", "-n", "shop", "applications.slipway.dev/web", "--timeout=5s")
		must(t, err)
		table, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-n", "shop")
		must(t, err)
		t.Logf("\n%s", table)
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust", "-o", "jsonpath={.metadata.annotations.slipway\\.dev/owner}")
		if err != nil || got != "test/shop/kust" {
			t.Errorf("owner %q: %v", got, err)
		}
	})

	t.Run("an upgrade goes on with its own chain and touches nobody else", func(t *testing.T) {
		started := time.Now()
		c := b.push(t, "web 1.1.0\n\nSlipway-Chain: chain-a test/shop/web "+two+"@sha256:"+strings.Repeat("a", 64)+"\nSlipway-Chain: chain-z test/shop/zzz x@y\n",
			map[string]string{"apps/web/web.yaml": webManifest("web", two), "apps/web/old.yaml": ""})
		pushed := time.Now()
		b.tell(t, c)
		b.becomes(t, "shop", "web", "True", c)
		t.Logf("push %s, told to healthy %s", pushed.Sub(started), time.Since(pushed))
		b.hears(t, events.ServiceUpgradedType, "test/shop/web", onChain("chain-a"))
		if s, err := b.status(t, "shop", "other"); err != nil || s.Attempted != first {
			t.Errorf("other was touched: %+v %v", s, err)
		}
		if _, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "old"); err == nil {
			t.Error("what is gone from Git was not pruned")
		}
	})

	t.Run("an image that is not there fails with the pod's words, and a newer commit pre-empts", func(t *testing.T) {
		c := b.push(t, "bad", map[string]string{"apps/web/web.yaml": webManifest("web", syncRegistry+"/acme/web:9.9.9")})
		b.tell(t, c)
		b.becomes(t, "shop", "web", "False", c, "not healthy", "mage")
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Failure, c, "Pull"))
		never := b.push(t, "never ready", map[string]string{"apps/web/web.yaml": strings.Replace(webManifest("web", two), "labels: {app: web}}\n    spec", "labels: {app: web}, annotations: {e2e.slipway.dev/behaviour: never-ready}}\n    spec", 1)})
		b.tell(t, never)
		b.becomes(t, "shop", "web", "Unknown", never)
		back := b.push(t, "back", map[string]string{"apps/web/web.yaml": webManifest("web", one)})
		b.tell(t, back)
		b.becomes(t, "shop", "web", "True", back)
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Cancel, never))
		b.hears(t, events.ServiceRolledBackType, "test/shop/web", onChain("hook-chain-"+back))
	})

	t.Run("broken YAML stalls one application with file and line", func(t *testing.T) {
		c := b.push(t, "broken", map[string]string{"apps/other/bad.yaml": "apiVersion: v1\nkind: [\n", "apps/web/extra.yaml": settings("extra", "1")})
		b.tell(t, c)
		s := b.becomes(t, "shop", "other", "False", c, "apps/other/bad.yaml:", "invalid YAML")
		if s.Condition(api.ConditionStalled) == nil {
			t.Errorf("not stalled: %+v", s.Conditions)
		}
		b.becomes(t, "shop", "web", "True", c)
		b.hears(t, events.EnvironmentModifiedType, "test/shop/web", onChain("hook-chain-"+c))
		c = b.push(t, "mended", map[string]string{"apps/other/bad.yaml": ""})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "True", c)
	})

	t.Run("an empty render deletes nothing", func(t *testing.T) {
		c := b.push(t, "empty", map[string]string{"apps/other/cm.yaml": "# nothing\n"})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "False", c, "would delete all 1 objects")
		_, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "other")
		must(t, err)
		c = b.push(t, "full", map[string]string{"apps/other/cm.yaml": settings("other", "2")})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "True", c)
	})

	t.Run("what happened while all was down is caught up without an event", func(t *testing.T) {
		b.stop()
		c := b.push(t, "in the dark", map[string]string{"apps/kust/base/cm.yaml": settings("kust", "dark")})
		b.start(outer) // it goes on after this subtest
		b.becomes(t, "shop", "kust", "True", c)
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust", "-o", "jsonpath={.data.value}")
		if err != nil || got != "dark" {
			t.Errorf("value %q: %v", got, err)
		}
		if s, err := b.status(t, "shop", "web"); err != nil || s.Attempted == c {
			t.Errorf("web was touched: %+v %v", s, err)
		}
	})

	t.Run("an application acts with its own account's rights", func(t *testing.T) {
		c := b.push(t, "tenant", map[string]string{"apps/tenant/cm.yaml": settings("mine", "1")})
		must(t, b.cluster.Apply(t.Context(), application("tenant", "app", b.url, "apps/tenant", "")))
		b.becomes(t, "tenant", "app", "False", c, "system:serviceaccount:tenant:default", "apps/tenant/cm.yaml:1")
		must(t, b.cluster.Apply(t.Context(), "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: edit, namespace: tenant}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: default, namespace: tenant}]\n"))
		b.becomes(t, "tenant", "app", "True", c)
	})

	t.Run("an object of another application is left to it", func(t *testing.T) {
		c := b.push(t, "thief", map[string]string{"apps/thief/cm.yaml": settings("other", "stolen")})
		must(t, b.cluster.Apply(t.Context(), application("shop", "thief", b.url, "apps/thief", "")))
		b.becomes(t, "shop", "thief", "False", c, "test/shop/other")
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "other", "-o", "jsonpath={.data.value}")
		if err != nil || got != "2" {
			t.Errorf("value %q: %v", got, err)
		}
	})

	t.Run("a kind and its objects come in one commit", func(t *testing.T) {
		crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: boats.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Boat, plural: boats}\n  versions:\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n"
		c := b.push(t, "boats", map[string]string{"apps/boats/a.yaml": "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: b}\n", "apps/boats/crd.yaml": crd})
		must(t, b.cluster.Apply(t.Context(), application("shop", "boats", b.url, "apps/boats", "")))
		b.becomes(t, "shop", "boats", "True", c)
	})

	t.Run("bad sources are told and stop nobody", func(t *testing.T) {
		must(t, b.cluster.Apply(t.Context(), application("shop", "nowhere", "https://git.invalid/x/y", "a", "")+application("shop", "nopath", b.url, "no/such", "")))
		b.becomes(t, "shop", "nowhere", "False", "", "not in the synchronizer's config", "git.invalid/x/y")
		b.becomes(t, "shop", "nopath", "False", b.git(t, "rev-parse", "HEAD"), "no/such", "not in the repository")
		for _, bad := range []string{"path: /abs", "path: a/../b", `path: ""`} {
			err := b.cluster.Apply(t.Context(), strings.Replace(application("shop", "bad", b.url, "PATH", ""), "path: PATH", bad, 1))
			if err == nil {
				t.Errorf("%s is accepted", bad)
			}
		}
	})

	t.Run("an unreachable Git host is told, what runs stays Ready, and it is tried again", func(t *testing.T) {
		must(t, b.host.Stop())
		_, err := b.cluster.Kubectl(t.Context(), "patch", "applications.slipway.dev", "-n", "shop", "kust", "--type=merge", "-p", `{"spec":{"environment":"elsewhere"}}`)
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "kust")
			if err != nil {
				return err
			}
			c, ready := s.Condition(api.ConditionReconciling), s.Condition(api.ConditionReady)
			if c == nil || c.Reason != "SourceUnavailable" || ready.Status != "True" {
				return fmt.Errorf("conditions %+v", s.Conditions)
			}
			return nil
		}))
		// What somebody asks for can't be had; what others change is put right all the same.
		_, err = b.cluster.Kubectl(t.Context(), "annotate", "applications.slipway.dev", "-n", "shop", "boats", api.SyncAnnotation+"=now")
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "boats")
			if err == nil && s.Condition(api.ConditionReconciling) == nil {
				err = fmt.Errorf("conditions %+v", s.Conditions)
			}
			return err
		}))
		_, err = b.cluster.Kubectl(t.Context(), "delete", "boats.example.com", "-n", "shop", "b")
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			_, err := b.cluster.Kubectl(t.Context(), "get", "boats.example.com", "-n", "shop", "b")
			return err
		}))
		b.host, err = parts.StartGitHTTP(t.Context(), b.hosting)
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "kust")
			if err == nil && (s.Condition(api.ConditionReconciling) != nil || s.ObservedGeneration != 2) {
				err = fmt.Errorf("generation %d, conditions %+v", s.ObservedGeneration, s.Conditions)
			}
			return err
		}))
	})

	t.Run("a branch that went back is believed, also while a commit is told of that never comes", func(t *testing.T) {
		before := b.push(t, "before", map[string]string{"apps/other/cm.yaml": settings("other", "before")})
		b.tell(t, before)
		b.becomes(t, "shop", "other", "True", before)
		after := b.push(t, "after", map[string]string{"apps/other/cm.yaml": settings("other", "after")})
		b.tell(t, after)
		b.becomes(t, "shop", "other", "True", after)
		b.tell(t, strings.Repeat("1", 40))
		b.git(t, "reset", "--quiet", "--hard", before)
		b.git(t, "push", "--quiet", "--force", "origin", "main")
		b.tell(t, before)
		b.becomes(t, "shop", "other", "True", before)
	})

	t.Run("a deleted Application takes its objects along, an orphaning one leaves them", func(t *testing.T) {
		_, err := b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "web", "--timeout=20s")
		must(t, err)
		b.hears(t, events.ServiceRemovedType, "test/shop/web", func(events.Event) bool { return true })
		if _, err := b.cluster.Kubectl(t.Context(), "get", "deployment", "-n", "shop", "web"); err == nil {
			t.Error("the Deployment is still there")
		}
		_, err = b.cluster.Kubectl(t.Context(), "patch", "applications.slipway.dev", "-n", "shop", "kust", "--type=merge", "-p", `{"spec":{"onDelete":"orphan"}}`)
		must(t, err)
		_, err = b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "kust", "--timeout=20s")
		must(t, err)
		_, err = b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust")
		must(t, err)
	})
}
