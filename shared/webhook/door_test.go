package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// lines is a provider whose body has one ref a line: "ref" or a fault.
func lines(blocks bool) webhook.Provider {
	return webhook.Provider{
		Name: "lines", MaxBody: webhook.MiB, Blocks: blocks,
		Verify: func(r webhook.Request, secrets []string) error { return webhook.Authorization(r.Header, secrets) },
		Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
			d := webhook.Delivery{ID: r.Header.Get("X-Delivery")}
			for line := range strings.Lines(string(r.Body)) {
				line = strings.TrimSuffix(line, "\n")
				if line == "broken" {
					return d, fmt.Errorf("%w: it is broken", webhook.ErrBody)
				}
				repo, ok := d.GitRepository(s, "https://inner:3000/acme/config.git")
				if ok {
					d.Items = append(d.Items, webhook.Item{Time: webhook.ParseTime(r.Header.Get("X-Time")), Payload: events.RefUpdated{
						Repository: repo, Ref: line, Provider: "lines", Source: s.Name,
					}})
				}
			}
			return d, nil
		},
	}
}

// keeper is a bus that keeps what it is given, or fails.
type keeper struct {
	kept  []events.Event
	aside []string
	err   error
}

func (k *keeper) Publish(_ context.Context, evs ...events.Event) error {
	if k.err == nil {
		k.kept = append(k.kept, evs...)
	}
	return k.err
}

// Has looks among what was kept.
func (k *keeper) Has(_ context.Context, e events.Event, _ time.Time) (bool, error) {
	return slices.ContainsFunc(k.kept, func(kept events.Event) bool { return kept.ID == e.ID }), k.err
}

// PutAside keeps why a body was put aside.
func (k *keeper) PutAside(_ context.Context, _, source string, _ []byte, reason error) error {
	if k.err == nil {
		k.aside = append(k.aside, source+": "+reason.Error())
	}
	return k.err
}

type doorBed struct {
	*keeper
	door *webhook.Door
	log  *bytes.Buffer
}

func open(t *testing.T, p webhook.Provider, change func(*service.Source)) doorBed {
	t.Helper()
	return openWith(t, p, func(cfg *service.Config) {
		if change != nil {
			change(&cfg.Receivers.Sources[0])
		}
	})
}

func openWith(t *testing.T, p webhook.Provider, change func(*service.Config)) doorBed {
	t.Helper()
	t.Setenv("DOOR_SECRET", "s3cret")
	s := service.Source{Name: "a", Provider: "lines", Host: "git.example.com", Secrets: []service.Secret{{Env: "DOOR_SECRET"}}}
	var cfg service.Config
	cfg.Receivers.Sources = []service.Source{s, {Name: "b", Provider: "of another service"}}
	change(&cfg)
	b := doorBed{keeper: &keeper{}, log: &bytes.Buffer{}}
	door, err := webhook.New("test", cfg, []webhook.Provider{p}, b.keeper, slog.New(slog.NewJSONHandler(b.log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b.door = door
	return b
}

func (b doorBed) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer s3cret")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.door.ServeHTTP(w, r)
	return w
}

func TestItemsOfABodyAreStoredTogetherInItsOrder(t *testing.T) {
	b := open(t, lines(false), nil)
	if w := b.post("/hooks/a", "refs/heads/b\nrefs/heads/a\nrefs/heads/b"); w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var refs []string
	ids := map[string]bool{}
	for _, e := range b.kept {
		refs = append(refs, e.Payload.(events.RefUpdated).Ref)
		ids[e.ID] = true
		if e.Source != "/test/a" || e.ChainID != b.kept[0].ChainID || time.Since(e.Time) > time.Minute {
			t.Errorf("%+v", e)
		}
	}
	if got := strings.Join(refs, " "); got != "refs/heads/b refs/heads/a refs/heads/b" || len(ids) != 3 {
		t.Errorf("refs %q, %d ids", got, len(ids))
	}
}

func TestConfiguredHostOverridesTheBodys(t *testing.T) {
	b := open(t, lines(false), nil)
	b.post("/hooks/a", "refs/heads/main")
	if len(b.kept) != 1 || b.kept[0].Payload.Key() != "git.example.com/acme/config" {
		t.Errorf("%+v", b.kept)
	}
}

func TestABatchThatIsTooLargeIs413AndStoresNothing(t *testing.T) {
	b := open(t, lines(false), nil)
	all := strings.Repeat("refs/heads/a\n", bus.MaxBatch)
	if w := b.post("/hooks/a", all); w.Code != http.StatusAccepted || len(b.kept) != bus.MaxBatch {
		t.Errorf("a full batch: %d, kept %d", w.Code, len(b.kept))
	}
	b.kept = nil
	if w := b.post("/hooks/a", all+"refs/heads/a"); w.Code != http.StatusRequestEntityTooLarge || len(b.kept) != 0 {
		t.Errorf("one more: %d, kept %d", w.Code, len(b.kept))
	}
}

func TestOneItemThatCannotBeMadeStoresNone(t *testing.T) {
	b := open(t, lines(false), nil)
	if w := b.post("/hooks/a", "refs/heads/a\nno ref"); w.Code != http.StatusBadRequest || len(b.kept) != 0 {
		t.Errorf("%d %s, kept %d", w.Code, w.Body, len(b.kept))
	}
}

func TestASenderThatA4xxBlocksGetsNoneForWhatCannotBeRead(t *testing.T) {
	for _, body := range []string{"broken", "no ref"} {
		b := open(t, lines(true), nil)
		if w := b.post("/hooks/a", body); w.Code != http.StatusAccepted || !strings.Contains(b.log.String(), "unreadable") {
			t.Errorf("%q: %d %s, log %s", body, w.Code, w.Body, b.log)
		}
		if len(b.aside) != 1 || !strings.HasPrefix(b.aside[0], "a: the body is not") {
			t.Errorf("%q: put aside %q, want it once with its reason", body, b.aside)
		}
		b.err = errors.New("no store")
		if w := b.post("/hooks/a", body); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%q: %d where it can't be put aside, want 503", body, w.Code)
		}
		if b := open(t, lines(false), nil); b.post("/hooks/a", body).Code != http.StatusBadRequest {
			t.Errorf("%q: another sender doesn't get 400", body)
		}
	}
	if b := open(t, lines(true), nil); b.post("/hooks/a", "", "Authorization", "x").Code != http.StatusUnauthorized {
		t.Error("a wrong proof is not 401")
	}
}

func TestATokenInThePathMustBeASecret(t *testing.T) {
	b := open(t, lines(false), nil)
	if w := b.post("/hooks/a/s3cret", "refs/heads/a"); w.Code != http.StatusAccepted {
		t.Errorf("the right token: %d", w.Code)
	}
	wrong, unknown := b.post("/hooks/a/s3cre", "refs/heads/a"), b.post("/hooks/nobody/s3cret", "refs/heads/a")
	if wrong.Code != http.StatusNotFound || wrong.Body.String() != unknown.Body.String() || unknown.Code != http.StatusNotFound {
		t.Errorf("a wrong token %d %s, an unknown source %d %s", wrong.Code, wrong.Body, unknown.Code, unknown.Body)
	}
}

func TestAnInsecureSourceNeedsNoProofAndHasNoToken(t *testing.T) {
	b := open(t, lines(false), func(s *service.Source) { s.Secrets, s.Insecure = nil, true })
	if w := b.post("/hooks/a", "refs/heads/a", "Authorization", "x"); w.Code != http.StatusAccepted {
		t.Errorf("without proof: %d", w.Code)
	}
	if w := b.post("/hooks/a/", "refs/heads/a"); w.Code != http.StatusNotFound {
		t.Errorf("an empty token: %d", w.Code)
	}
}

func TestASecretThatCannotBeReadRefusesToStart(t *testing.T) {
	var cfg service.Config
	for _, secret := range []service.Secret{{Env: "NOT_SET"}, {File: "/nowhere"}, {}} {
		cfg.Receivers.Sources = []service.Source{{Name: "a", Provider: "lines", Secrets: []service.Secret{secret}}}
		_, err := webhook.New("test", cfg, []webhook.Provider{lines(false)}, nil, nil, prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), "receivers.sources[0]") {
			t.Errorf("%+v gives %v", secret, err)
		}
	}
}

func TestNothingOfTheSenderReachesLogOrAnswerUnescaped(t *testing.T) {
	b := open(t, lines(false), nil)
	for _, w := range []*httptest.ResponseRecorder{
		b.post("/hooks/a", "refs/heads/a\r\nforged: line"), b.post("/hooks/a", "x", "Authorization", "Bearer gu3ss"),
		b.post("/hooks/a", "broken", "X-Delivery", "s3cret"),
	} {
		if strings.Contains(w.Body.String(), "s3cret") || strings.Contains(w.Body.String(), "gu3ss") {
			t.Errorf("answer %s", w.Body)
		}
	}
	for line := range strings.Lines(b.log.String()) {
		if !strings.HasPrefix(line, `{"time"`) || strings.Contains(line, "s3cret") || strings.Contains(line, "gu3ss") {
			t.Errorf("log line %q", line)
		}
	}
}

func TestARefusalRepeatsLittleOfTheSendersWords(t *testing.T) {
	b := open(t, lines(false), nil)
	if w := b.post("/hooks/a", strings.Repeat("ä", 100_000)); w.Code != http.StatusBadRequest || w.Body.Len() > 1000 || b.log.Len() > 1000 {
		t.Errorf("%d, %d bytes of answer, %d of log", w.Code, w.Body.Len(), b.log.Len())
	}
}

// The listener's deadline ends a slow body (WEBHOOKS.md Z 11).
func TestABodyThatTakesTooLongIs408(t *testing.T) {
	b := open(t, lines(false), nil)
	server := httptest.NewUnstartedServer(b.door)
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Start()
	defer server.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "POST /hooks/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\nContent-Length: 20\r\n\r\nrefs/")
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 408 ")) || len(b.kept) != 0 {
		t.Errorf("answered %q, %v; kept %d", got, err, len(b.kept))
	}
}

func TestADeliveryToldAgainAfterTheServersMemoryIsStoredOnce(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		kept int // by a keeper that, unlike the server, knows no ids
	}{
		"as old as the server remembers": {30 * time.Minute, 2},
		"older":                          {time.Hour, 1},
		"a month old":                    {29 * 24 * time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, lines(false), nil)
			post := func() string {
				w := b.post("/hooks/a", "refs/heads/a", "X-Delivery", "1", "X-Time", time.Now().Add(-c.age).Format(time.RFC3339))
				return fmt.Sprint(w.Code, w.Body)
			}
			if first, again := post(), post(); first != again || !strings.HasPrefix(first, "202") {
				t.Errorf("answered %s, then %s", first, again)
			}
			if len(b.kept) != c.kept {
				t.Errorf("stored %d times, want %d", len(b.kept), c.kept)
			}
		})
	}
}

func TestWhatCannotBeStoredIs503(t *testing.T) {
	b := open(t, lines(false), nil)
	b.err = errors.New("nats://inner is away")
	w := b.post("/hooks/a", "refs/heads/a")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "inner") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if !strings.Contains(b.log.String(), "inner") {
		t.Errorf("the log does not say why: %s", b.log)
	}
}

func TestOnlySourcesOfTheTableAreTaken(t *testing.T) {
	b := open(t, lines(false), nil)
	has := func(name string) bool { return b.door.Has(httptest.NewRequest(http.MethodPost, "/hooks/"+name, nil)) }
	if !has("a") || has("b") {
		t.Errorf("a: %v, b: %v, want the first alone", has("a"), has("b"))
	}
	if w := b.post("/hooks/b", "refs/heads/a"); w.Code != http.StatusNotFound {
		t.Errorf("a source of another service: %d", w.Code)
	}
}
