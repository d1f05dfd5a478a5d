package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
)

// A ConfigMap that changes while no synchronizer runs is found at the start; and
// an application reads with its own account's rights alone.
func TestVariablesOutliveTheSynchronizer(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	c := b.push(t, "first", map[string]string{"apps/vars/cm.yaml": settings("open", "${LEVEL}"), "apps/plain/cm.yaml": settings("plain", "${LEVEL}")})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-A")
		return err
	}))
	vars := func(level string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: %%s}\ndata: {LEVEL: %q}\n---\n", level)
	}
	const substitute = "  sync: {resync: 1h}\n  substitute: {from: [{configMap: vars}]}\n"
	must(t, b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n---\n"+
		fmt.Sprintf(vars("one"), "shop")+fmt.Sprintf(vars("one"), "tenant")))
	must(t, b.cluster.Apply(t.Context(), application("shop", "vars", b.url, "apps/vars", substitute)+
		application("shop", "plain", b.url, "apps/plain", "")+application("tenant", "vars", b.url, "apps/vars", substitute)))
	before := b.becomes(t, "shop", "vars", "True", c)
	b.becomes(t, "shop", "plain", "True", c)
	value := func(name, want string) {
		t.Helper()
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", name, "-o", "jsonpath={.data.value}")
			if err == nil && got != want {
				err = fmt.Errorf("%s is %q, want %q", name, got, want)
			}
			return err
		}))
	}
	value("open", "one")
	value("plain", "${LEVEL}")
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		s, err := b.status(t, "tenant", "vars")
		if err != nil {
			return err
		}
		if r := s.Condition(api.ConditionReconciling); r == nil || r.Reason != "VariablesMissing" || !strings.Contains(r.Message, "may not get it") {
			return fmt.Errorf("the tenant's status is %+v", s)
		}
		return nil
	}))

	b.stop()
	must(t, b.cluster.Apply(t.Context(), fmt.Sprintf(vars("two"), "shop")))
	b.start(t)
	value("open", "two")
	if after := b.becomes(t, "shop", "vars", "True", c); after.Variables == before.Variables || !strings.HasPrefix(after.Variables, "ConfigMap shop/vars=") {
		t.Errorf("versions %q, before %q", after.Variables, before.Variables)
	}
}
