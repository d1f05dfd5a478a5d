package promote_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
)

// An application whose chart lies elsewhere is edited as any other, and one
// whose repository is away is blocked alone and no longer than that.
func TestAChartFromElsewhereIsAskedForSeldom(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	w := tar.NewWriter(zip)
	for name, text := range map[string]string{
		"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "web/values.yaml": "image: {repository: ghcr.io/acme/web, tag: 0.0.1}\n",
		"web/templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  containers:\n  - image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n",
	} {
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		must(t, err)
	}
	must(t, errors.Join(w.Close(), zip.Close()))
	var asked atomic.Int64
	var away atomic.Bool
	away.Store(true)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1); {
		case away.Load():
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/index.yaml":
			_, _ = io.WriteString(w, "entries:\n  web:\n  - {version: 1.0.0, urls: [web-1.0.0.tgz]}\n")
		default:
			_, _ = w.Write(packed.Bytes())
		}
	}))
	t.Cleanup(site.Close)
	b := start(t, map[string]string{
		"cluster/web.yaml":     strings.Replace(chartApplication("web", ""), "chart: ../../charts/web", "chart: web, version: 1.x, repository: \""+site.URL+"\"", 1),
		"apps/web/values.yaml": "image: {tag: 1.0.0} # here\n", "apps/web/pod.yaml": "not: read\n",
	})
	b.repos.UseElsewhere(t.Context(), fetch.New(fetch.Options{Dir: t.TempDir()}).Patient(time.Minute, func(ref api.ChartRef) fetch.Question {
		return fetch.Question{ChartRef: ref, Access: fetch.Config, Since: time.Now().Add(-time.Hour)}
	}), nil)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if err := b.repos.Blocked(t.Context(), "production/shop/web"); err == nil || !strings.Contains(err.Error(), "/index.yaml answers 404") {
		t.Fatalf("blocked: %v", err)
	}
	away.Store(false)
	b.git.Commit("something else", map[string]string{"README.md": "x\n"})
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.git.Pull()
	if got := b.git.Git("show", "HEAD:apps/web/values.yaml"); got != "image: {tag: 1.1.0@"+digestA+"} # here" {
		t.Errorf("the values are:\n%s", got)
	}
	before := asked.Load()
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	b.git.Pull()
	if got := b.git.Git("show", "HEAD:apps/web/values.yaml"); got != "image: {tag: 1.2.0@"+digestB+"} # here" {
		t.Errorf("the values are:\n%s", got)
	}
	if more := asked.Load() - before; more > 0 {
		t.Errorf("the chart repository was asked %d times for a chart that is known", more)
	}
}
