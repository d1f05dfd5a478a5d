package slipway_test

import (
	"bufio"
	"bytes"
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

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
		{Name: "github", Provider: "github"}, {Name: "gitea", Provider: "gitea"}, {Name: "gitlab", Provider: "gitlab", Host: "gitlab.example.com"},
		{Name: "gitee", Provider: "gitee"}, {Name: "bitbucket", Provider: "bitbucket-cloud"}, {Name: "azure", Provider: "azure-devops"},
		{Name: "gogs", Provider: "gogs"}, {Name: "distribution", Provider: "distribution", Registry: "registry.example.com"},
		{Name: "dockerhub", Provider: "dockerhub"}, {Name: "quay", Provider: "quay"}, {Name: "harbor", Provider: "harbor"},
		{Name: "zot", Provider: "zot", Registry: "zot.example.com"}, {Name: "acr", Provider: "acr"}, {Name: "small", Provider: "github", MaxBody: webhook.MiB},
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
	f.http, f.addr = f.replica(t, url, o.server)
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
	go func() { _ = server.Serve(ln) }()
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

func TestZ01AWrongSignatureIs401AndAllOfThemLookAlike(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	good := github(push).signed()
	proof := good.header.Get("X-Hub-Signature-256")
	bodies := map[string]bool{}
	for name, h := range map[string]hook{
		"one bit of the body": func() hook { h := good; h.body = bytes.Replace(h.body, []byte("main"), []byte("maio"), 1); return h }(),
		"another secret":      github(push).signedAt(frontSecret+"x", time.Now()),
		"one digit":           good.with("X-Hub-Signature-256", proof[:len(proof)-1]+string("01"[b2i(proof[len(proof)-1] == '0')])),
		"shorter":             good.with("X-Hub-Signature-256", proof[:len(proof)-2]),
		"longer":              good.with("X-Hub-Signature-256", proof+"00"),
		"odd":                 good.with("X-Hub-Signature-256", proof[:len(proof)-1]),
		"capitals":            good.with("X-Hub-Signature-256", "sha256="+strings.ToUpper(proof[7:])),
		"not hex":             good.with("X-Hub-Signature-256", "sha256="+strings.Repeat("zz", 32)),
	} {
		bodies[f.wants(t, name, h, 0, http.StatusUnauthorized).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers differ: %v", bodies)
	}
	f.fine(t)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestZ02AMissingOrEmptySignatureIs401(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, h := range map[string]hook{
		"missing": github(push), "empty": github(push).with("X-Hub-Signature-256", " "), "only the prefix": github(push).with("X-Hub-Signature-256", "sha256="),
		"Gitea's empty headers": gitHook("gitea", "gitea", "push", push).with("X-Hub-Signature-256", "sha256=").with("X-Gitea-Signature", " "),
		"GitLab's token":        gitHook("gitlab", "gitlab", "Push Hook", push), "basic": gitHook("azure", "azure-devops", "", push),
		"distribution's": registryHook("distribution", envelope("1")).with("Authorization", ""),
	} {
		f.wants(t, name, h, 0, http.StatusUnauthorized)
	}
	f.fine(t)
}

func TestZ03TheRequestDoesNotChooseTheAlgorithm(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	good := github(push).signed()
	proof := good.header.Get("X-Hub-Signature-256")
	two := github(push)
	two.header["X-Hub-Signature-256"] = []string{proof, "sha256=" + strings.Repeat("00", 32)}
	sha1Only := github(push).with("X-Hub-Signature", "sha1=0123456789012345678901234567890123456789")
	for name, h := range map[string]hook{
		"sha1": good.with("X-Hub-Signature-256", "sha1="+proof[7:47]), "sha512": good.with("X-Hub-Signature-256", "sha512="+proof[7:]+proof[7:]),
		"md5": good.with("X-Hub-Signature-256", "md5="+proof[7:39]), "only X-Hub-Signature": sha1Only, "two that disagree": two,
		"a right one under the other name": github(push).with("X-Hub-Signature", proof),
		"a JWT with alg none":              registryHook("distribution", envelope("1")).with("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
	} {
		f.wants(t, name, h, 0, http.StatusUnauthorized)
	}
	f.fine(t)
}

func TestZ04ASourceWithoutASecretIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, secrets := range map[string][]service.Secret{"none": nil, "an empty file": {{File: empty}}, "no file": {{File: empty + "-not"}}, "nothing named": {{}}} {
		var cfg service.Config
		cfg.Receivers.Sources = []service.Source{{Name: "a", Provider: "github", Secrets: secrets}}
		if _, err := webhook.New("git-receiver", cfg, gitreceiver.Providers(), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%s: the door opens", name)
		}
	}
}

func TestZ05ABodyCutShortIs400AndPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "cut JSON", github(push[:len(push)/2]).signed(), 0, http.StatusBadRequest)
	f.wants(t, "empty", github("").signed(), 0, http.StatusBadRequest)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", len(push)+10)
	_ = github(push).signed().header.Write(conn)
	fmt.Fprintf(conn, "\r\n%s", push)
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || len(f.stored(t)) != 0 {
		t.Errorf("answered %d, stored %d", res.StatusCode, len(f.stored(t)))
	}
	f.fine(t)
}

func TestZ06WhatFollowsTheJSONIs400(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, tail := range map[string]string{"an object": "{}", "a brace": "}", "NUL": "\x00", "a comma": ",", "the same again": push} {
		f.wants(t, name, github(push+tail).signed(), 0, http.StatusBadRequest)
		f.wants(t, name+" in a form", form("payload="+escape(push+tail)).signed(), 0, http.StatusBadRequest)
	}
	f.fine(t)
}

func TestZ07DeepLongAndHugeNumbersAre400InMilliseconds(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, value := range map[string]string{
		"nested 100,000 deep": strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"objects, open":       strings.Repeat(`{"a":`, 100_000),
		"a number":            strings.Repeat("9", 100_000),
		"a list for a string": `[` + strings.Repeat("1,", 1_000_000) + "1]",
	} {
		h := github(`{"ref":` + value + `}`).signed()
		began := time.Now()
		f.wants(t, name, h, 0, http.StatusBadRequest)
		if took := time.Since(began); took > 2*time.Second { // many times over, for a busy machine
			t.Errorf("%s took %s", name, took)
		}
	}
	f.fine(t)
}

func TestZ08NoContentEncodingIsTaken(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
		f.wants(t, encoding, github(push).signed().with("Content-Encoding", encoding), 0, http.StatusUnsupportedMediaType)
	}
	f.fine(t)
}

// Of keys that are there twice, also in other letters, the last counts: that
// is the one rule, in every provider, since all of them read with webhook.JSON.
func TestZ09OfKeysThatAreThereTwiceTheLastCounts(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, key := range map[string]string{"the same": "ref", "another case": "REF"} {
		body := strings.TrimSuffix(push, "}") + fmt.Sprintf(`,%q:"refs/heads/last"}`, key)
		f.wants(t, name, github(body).signed(), 1, http.StatusAccepted)
		all := f.stored(t)
		if ref := all[len(all)-1].Payload.(events.RefUpdated).Ref; ref != "refs/heads/last" {
			t.Errorf("%s: the ref is %s", name, ref)
		}
	}
}
