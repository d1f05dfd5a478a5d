package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/slipway-cd/slipway/shared/kube"
)

// darkness stands before an API server. It has one write of a status go through without
// its answer, as when the API server is stopped in that moment, and refuses the next
// ones until it is over; what watches have to tell waits until somebody reads.
type darkness struct {
	to       http.RoundTripper
	swallows string // a part of the write
	swallow  chan struct{}

	mu    sync.Mutex
	moved *sync.Cond
	phase phase
}

type phase int

const (
	light phase = iota
	armed       // the next write is swallowed
	dark        // writes are refused, and nothing is told
	blind       // nothing is told
)

func (d *darkness) turn(to phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase = to
	d.moved.Broadcast()
}

func (d *darkness) is() phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase
}

// RoundTrip is of what concerns the Application web.
func (d *darkness) RoundTrip(r *http.Request) (*http.Response, error) {
	itself := strings.HasSuffix(r.URL.Path, "/applications/web")
	status := r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/applications/web/status")
	switch now := d.is(); {
	case status && now == dark:
		return nil, io.ErrUnexpectedEOF
	case status && now == armed:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte(d.swallows)) {
			break
		}
		d.turn(dark)
		answer, err := d.to.RoundTrip(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the write that is swallowed: %w", err)
		}
		_ = answer.Body.Close()
		close(d.swallow)
		return nil, io.ErrUnexpectedEOF
	case itself && r.Method == http.MethodGet && now == blind:
		defer d.turn(light)
	}
	return d.to.RoundTrip(r)
}

// veil is where a watch writes.
type veil struct {
	http.ResponseWriter
	d *darkness
}

func (v veil) Unwrap() http.ResponseWriter { return v.ResponseWriter }

func (v veil) Write(p []byte) (int, error) {
	v.d.mu.Lock()
	for v.d.phase == dark || v.d.phase == blind {
		v.d.moved.Wait()
	}
	v.d.mu.Unlock()
	return v.ResponseWriter.Write(p)
}

// throughDarkness has the synchronizer reach its cluster through it.
func throughDarkness(t *testing.T, b *syncBed, swallows string) *darkness {
	t.Helper()
	config, err := kube.Load(kube.Options{Kubeconfig: b.cluster.Kubeconfig})
	must(t, err)
	to, err := url.Parse(config.Host)
	must(t, err)
	transport, err := rest.TransportFor(config)
	must(t, err)
	d := &darkness{to: transport, swallows: swallows, swallow: make(chan struct{})}
	d.moved = sync.NewCond(&d.mu)
	t.Cleanup(func() { d.turn(light) })
	proxy := &httputil.ReverseProxy{Transport: d, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" && strings.HasSuffix(r.URL.Path, "/applications") {
			w = veil{w, d}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.CloseClientConnections)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {server: %q}}]\nusers: [{name: a, user: {}}]\n", server.URL), 0o600))
	b.kubeconfig = file
	return d
}

// TestAWriteThatWentThroughUnseen has the API server take the status of a broken commit
// and be gone before it answers. The next commit takes back what was broken, so that by
// the state of before nothing is to be done.
func TestAWriteThatWentThroughUnseen(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	d := throughDarkness(t, b, "InvalidManifest")
	first := b.push(t, "first", map[string]string{"apps/web/settings.yaml": settings("web", "1")})
	b.begin(t)
	must(t, b.cluster.Apply(t.Context(), application("shop", "web", b.url, "apps/web", "")))
	b.becomes(t, "shop", "web", "True", first)
	d.turn(armed)
	b.tell(t, b.push(t, "broken", map[string]string{"apps/web/broken.yaml": "a: [\n"}))
	<-d.swallow
	mended := b.push(t, "mended", map[string]string{"apps/web/broken.yaml": ""})
	d.turn(blind)
	b.tell(t, mended)
	b.becomes(t, "shop", "web", "True", mended)
}
