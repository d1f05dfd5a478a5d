package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/service"
)

// TestARootWaitsForWhatIsNew has a root bring an Application of which the status
// says nothing yet, since its Git host doesn't answer: the root isn't ready.
func TestARootWaitsForWhatIsNew(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	t.Cleanup(hanging.CloseClientConnections)
	away := hanging.URL + "/acme/away.git"
	b.repos, b.trusted = []service.Repository{{URL: b.url, Branch: "main"}, {URL: away, Branch: "main"}}, []string{"shop"}
	b.push(t, "first", map[string]string{"root/child.yaml": application("shop", "child", away, "apps/child", "")})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		return b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"+application("shop", "root", b.url, "root", ""))
	}))
	b.says(t, "shop", "root", api.ConditionReady, "Progressing", "Application shop/child: the synchronizer has not looked at it yet")
	if s, err := b.status(t, "shop", "child"); err == nil {
		t.Errorf("it has a status, so that this says nothing: %+v", s)
	}
}
