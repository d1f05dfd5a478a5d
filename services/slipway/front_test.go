package slipway_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// The tests TestZ01 to TestZ30 are the rows of section Z of WEBHOOKS.md, over
// real HTTP at the listener that runs, on an embedded JetStream. What each
// provider must hold by itself is in shared/webhook/webhooktest.

const frontSecret = "It's a Secret to Everybody"

// front is both receivers behind one hardened listener.
type front struct {
	server *bustest.Embedded
	bus    *bus.Bus
	http   *http.Server
	addr   string
	cfg    service.Config
	log    *syncBuffer
}

// syncBuffer is a log that may be read while it is written; its first MiB is
// kept.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() > webhook.MiB {
		return len(p), nil
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// frontOptions change what newFront starts.
type frontOptions struct {
	config func(*service.Config)
	server func(*http.Server)
	// tls is the listener's; none is plain HTTP.
	tls *tls.Config
	// busURL is another way to the bus, such as through a proxy.
	busURL func(url string) string
}

func newFront(t testing.TB, o frontOptions) *front {
	t.Helper()
	f := &front{server: bustest.Server(t), log: &syncBuffer{}}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(frontSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []service.Source{
		{Name: "github", Provider: "github"},
		{Name: "gitea", Provider: "gitea"},
		{Name: "gitlab", Provider: "gitlab", Host: "gitlab.example.com"},
		{Name: "gitee", Provider: "gitee"},
		{Name: "bitbucket", Provider: "bitbucket-cloud"},
		{Name: "azure", Provider: "azure-devops"},
		{Name: "gogs", Provider: "gogs"},
		{Name: "distribution", Provider: "distribution", Registry: "registry.example.com"},
		{Name: "dockerhub", Provider: "dockerhub"},
		{Name: "quay", Provider: "quay"},
		{Name: "harbor", Provider: "harbor"},
		{Name: "zot", Provider: "zot", Registry: "zot.example.com"},
		{Name: "acr", Provider: "acr"},
		{Name: "small", Provider: "github", MaxBody: webhook.MiB},
	} {
		s.Secrets = []service.Secret{{File: file}}
		f.cfg.Receivers.Sources = append(f.cfg.Receivers.Sources, s)
	}
	if o.config != nil {
		o.config(&f.cfg)
	}
	f.bus = bustest.Connect(t, f.server.URL())
	url := f.server.URL()
	if o.busURL != nil {
		url = o.busURL(url)
	}
	f.http, f.addr = f.replica(t, url, func(s *http.Server) {
		s.TLSConfig = o.tls
		if o.server != nil {
			o.server(s)
		}
	})
	return f
}

// replica is one more pair of receivers with a listener.
func (f *front) replica(t testing.TB, busURL string, change func(*http.Server)) (*http.Server, string) {
	t.Helper()
	b := bustest.Connect(t, busURL)
	log := slog.New(slog.NewJSONHandler(f.log, nil))
	var doors []service.HookHandler
	for name, table := range map[string][]webhook.Provider{"git-receiver": gitreceiver.Providers(), "registry-receiver": registryreceiver.Providers()} {
		d, err := webhook.New(name, f.cfg, table, b, log, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		doors = append(doors, d)
	}
	server := service.NewServer(service.Hooks(doors...), log)
	if change != nil {
		change(server)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if server.TLSConfig != nil {
			_ = server.ServeTLS(ln, "", "")
			return
		}
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() { _ = server.Close() })
	return server, ln.Addr().String()
}

// hook is one request in the making.
type hook struct {
	source, provider string
	method, path     string
	header           http.Header
	body             []byte
	unsigned         bool
}

func gitHook(source, provider, event, body string) hook {
	h := hook{source: source, provider: provider, method: http.MethodPost, path: "/hooks/" + source, header: http.Header{}, body: []byte(body)}
	h.header.Set("Content-Type", "application/json")
	name := map[string]string{"github": "X-GitHub", "gitea": "X-Gitea", "gogs": "X-Gogs", "gitlab": "X-Gitlab"}[provider]
	if name != "" {
		h.header.Set(name+"-Event", event)
		h.header.Set(name+"-Delivery", "delivery")
	}
	return h
}

func github(body string) hook { return gitHook("github", "github", "push", body) }

// inPath is a hook of a registry that proves itself by path or a header.
func registryHook(source, body string) hook {
	h := gitHook(source, source, "", body)
	switch source {
	case "dockerhub", "quay":
		h.path += "/" + strings.ReplaceAll(frontSecret, " ", "%20")
	case "distribution":
		h.header.Set("Authorization", "Bearer "+frontSecret)
		h.header.Set("Content-Type", "application/vnd.docker.distribution.events.v2+json")
	case "harbor":
		h.header.Set("Authorization", frontSecret)
	case "zot":
		h.header.Set("Authorization", "Bearer "+frontSecret)
	case "acr":
		h.header.Set("Authorization", "Bearer "+frontSecret)
	}
	return h
}

// with sets a header; an empty value takes it away.
func (h hook) with(name, value string) hook {
	h.header = h.header.Clone()
	if value == "" {
		h.header.Del(name)
		return h
	}
	h.header.Set(name, value)
	return h
}

// signed puts the provider's proof in.
func (h hook) signed() hook { return h.signedAt(frontSecret, time.Now()) }

func (h hook) signedAt(secret string, now time.Time) hook {
	i := slices.IndexFunc(gitreceiver.Providers(), func(p webhook.Provider) bool { return p.Name == h.provider })
	if h.unsigned || i < 0 {
		return h
	}
	h.header = h.header.Clone()
	gitreceiver.Providers()[i].Sign(h.header, h.body, secret, now)
	return h
}

type reply struct {
	status int
	header http.Header
	body   string
}

// client neither follows nor unpacks, and keeps no connection.
var client = &http.Transport{DisableCompression: true, DisableKeepAlives: true}

func (f *front) send(t testing.TB, h hook) reply {
	t.Helper()
	return f.sendTo(t, f.addr, h)
}

func (f *front) sendTo(t testing.TB, addr string, h hook) reply {
	t.Helper()
	got, err := f.try(t, addr, h)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (f *front) try(t testing.TB, addr string, h hook) (reply, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), h.method, "http://"+addr+h.path, bytes.NewReader(h.body))
	if err != nil {
		return reply{}, err
	}
	req.Header = h.header
	res, err := client.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}, err
}

// raw writes bytes and gives what comes until the connection is closed.
func (f *front) raw(t testing.TB, text string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, text) }() // it may be closed before the end
	got, _ := io.ReadAll(conn)
	return string(got)
}

// stored are all events on the bus.
func (f *front) stored(t testing.TB) []events.Event {
	t.Helper()
	var all []events.Event
	for s, err := range f.bus.Read(t.Context(), bus.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Event)
	}
	return all
}

// wants sends a hook and holds the answer; refusals and empty lists store
// nothing, and the next request is unharmed.
func (f *front) wants(t *testing.T, name string, h hook, events int, statuses ...int) reply {
	t.Helper()
	before := len(f.stored(t))
	got := f.send(t, h)
	if !slices.Contains(statuses, got.status) {
		t.Errorf("%s: answered %d %s, want %v", name, got.status, got.body, statuses)
	}
	if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d is %s, not a problem of RFC 9457", name, got.status, got.header.Get("Content-Type"))
	}
	after := f.stored(t)
	if len(after)-before != events {
		t.Errorf("%s: %d events were stored, want %d", name, len(after)-before, events)
	}
	if text := got.body + f.log.String(); strings.Contains(text, frontSecret) || strings.Contains(text, "PRIVATE") {
		t.Errorf("%s: secret or body are told: %s", name, text)
	}
	return got
}

// fine holds that an ordinary push is taken as ever.
func (f *front) fine(t *testing.T) {
	t.Helper()
	f.wants(t, "the next request", github(pushOf("refs/heads/next", fmt.Sprint(time.Now().UnixNano()))).signed(), 1, http.StatusAccepted)
}

const (
	// hangs is an answer for which no sender waits (GitHub: 10 s). What the tests
	// bound takes milliseconds; a busy machine's tests share it with others.
	hangs = 8 * time.Second

	sha1 = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
	sha2 = "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98"
)

// pushOf is a push in the shape of GitHub and Gitea.
func pushOf(ref, message string) string {
	return fmt.Sprintf(`{"ref":%q,"before":%q,"after":%q,"commits":[{"id":%q,"message":%q}],"repository":{"full_name":"acme/config","clone_url":"https://github.com/acme/config.git"},"pusher":{"name":"maria","login":"maria"}}`,
		ref, sha1, sha2, sha2, "PRIVATE "+message)
}

var push = pushOf("refs/heads/main", "web: 1.4.2")

// envelope is distribution's, with an event for each tag.
func envelope(tags ...string) string {
	var all []string
	for i, tag := range tags {
		all = append(all, fmt.Sprintf(`{"id":"e%d","timestamp":"2026-11-23T20:15:04Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%064d","repository":"shop/web","tag":%q}}`, i, i, tag))
	}
	return `{"events":[` + strings.Join(all, ",") + `]}`
}
