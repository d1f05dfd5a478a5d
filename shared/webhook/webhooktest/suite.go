// Package webhooktest holds every provider to the same suite: what it documents
// gives its events, and nothing hostile or broken gives any.
package webhooktest

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

var update = flag.Bool("update", false, "write the goldens of the fixtures again")

// Secret is the one of every source in the suite, with a letter that must not
// be cut or escaped; OldSecret is accepted beside it.
const (
	Secret    = "It's a Secret to Everybody"
	OldSecret = "the one before"
)

// Suite is what a receiver's providers are held to.
type Suite struct {
	// Service is the receiver's name.
	Service string
	Table   []webhook.Provider
	// Senders has one for each provider in the table.
	Senders map[string]Sender
	// Dir has a folder for each provider with its fixtures, of which one is
	// push.json.
	Dir string
}

// Sender is how one provider's product sends.
type Sender struct {
	// Sign puts the proof into the headers; nil takes the provider's own.
	Sign webhook.Signer
	// Proof is the header that holds it; [Token] where the path does.
	Proof string
	// Config is what the source's config needs beside name, provider and
	// secrets, such as the host that no body tells.
	Config service.Source
	// Corpus are the provider's folders in the corpus of real bodies.
	Corpus []string
}

func (s Sender) sign(p webhook.Provider, h http.Header, body []byte, secret string, now time.Time) {
	sign := s.Sign
	if sign == nil {
		sign = p.Sign
	}
	sign(h, body, secret, now)
}

// Token is the header by which Sign says what the path's token is: it is taken
// off before the request is sent.
const Token = "Webhooktest-Token"

// InPath is a sender that proves itself by the path alone.
func InPath(config service.Source, corpus ...string) Sender {
	return Sender{
		Sign:  func(h http.Header, _ []byte, secret string, _ time.Time) { h.Set(Token, secret) },
		Proof: Token, Config: config, Corpus: corpus,
	}
}

// Fixture is one delivery, written after the provider's documents. Its golden
// beside it has what it gives.
type Fixture struct {
	// Headers are those without the proof.
	Headers map[string]string `json:"headers"`
	// Body is sent byte for byte; Form, where it is not empty, stands for a
	// body that is not JSON.
	Body json.RawMessage `json:"body"`
	Form string          `json:"form,omitempty"`
}

// Request is the delivery as it arrives.
func (f Fixture) Request() webhook.Request {
	r := webhook.Request{Header: http.Header{}, Body: f.Body}
	if f.Form != "" {
		r.Body = []byte(f.Form)
	}
	for name, value := range f.Headers {
		r.Header.Set(name, value)
	}
	return r
}

// Run holds each provider in the table to the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if len(s.Senders) != len(s.Table) {
		t.Fatalf("%d senders for %d providers", len(s.Senders), len(s.Table))
	}
	for _, p := range s.Table {
		t.Run(p.Name, func(t *testing.T) {
			b := newBed(t, s) // one each: a stream has room for so many readers
			sender, ok := s.Senders[p.Name]
			if !ok {
				t.Fatalf("no sender for provider %s", p.Name)
			}
			t.Run("fixtures give their goldens", func(t *testing.T) { s.goldens(t, p) })
			t.Run("corpus", func(t *testing.T) { s.corpus(t, p, sender) })
			t.Run("no field of another type panics", func(t *testing.T) { s.confuse(t, p) })
			c := &caller{bed: b, provider: p, sender: sender, push: s.load(t, filepath.Join(s.Dir, p.Name, "push.json"))}
			c.proofs(t)
			c.bodies(t)
			c.doors(t)
			c.storing(t)
		})
	}
	t.Run("JetStream away is 503 with Retry-After, and nothing is accepted", func(t *testing.T) { newBed(t, s).away(t) })
}

func (s Suite) load(t testing.TB, file string) Fixture {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var f Fixture
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return f
}

// fixtures are a provider's, by name of the file.
func (s Suite) fixtures(t testing.TB, provider string) map[string]Fixture {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, provider, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Fixture{}
	for _, file := range files {
		if !strings.HasSuffix(file, ".golden.json") {
			all[file] = s.load(t, file)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no fixtures for provider %s", provider)
	}
	return all
}

// outcome is a golden: what a delivery gives.
type outcome struct {
	Error   string         `json:"error,omitempty"`
	Ignored []string       `json:"ignored,omitempty"`
	Events  []events.Event `json:"events"`
}

// arrival is the time of events whose body tells none.
var arrival = time.Date(2026, 11, 23, 20, 15, 4, 0, time.UTC)

// source is the configured sender of goldens and corpus: no host where bodies
// tell one, so that theirs is used.
func (s Suite) source(p webhook.Provider) webhook.Source {
	config := s.Senders[p.Name].Config
	return webhook.Source{
		Name: "hook", Host: cmp.Or(config.Host, config.Registry), Secrets: []string{Secret}, Aliases: events.Aliases{}, Config: config,
	}
}

// prove holds the proof as the door does.
func prove(ctx context.Context, p webhook.Provider, r webhook.Request, src webhook.Source) error {
	r.TokenFits = slices.Contains(src.Secrets, r.Header.Get(Token))
	if p.Prove != nil {
		return p.Prove(ctx, r, src)
	}
	return p.Verify(r, src.Secrets)
}

func (s Suite) read(p webhook.Provider, r webhook.Request, src webhook.Source) outcome {
	out := outcome{Events: []events.Event{}}
	d, err := p.Read(r, src)
	if err == nil {
		out.Ignored = d.Ignored
		d.Timeless = false // ids that are the same each time
		var all []events.Event
		if all, err = webhook.Events(s.Service, src, r, d, arrival); all != nil {
			out.Events = all
		}
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

func (s Suite) goldens(t *testing.T, p webhook.Provider) {
	t.Helper()
	for file, f := range s.fixtures(t, p.Name) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			got, err := json.MarshalIndent(s.read(p, f.Request(), s.source(p)), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := strings.TrimSuffix(file, ".json") + ".golden.json"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s gives\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

// confuse puts a value of every other type into each field in turn (WEBHOOKS.md
// Z 19): whatever comes of it is one of the errors that a provider may give,
// or events that can be made.
func (s Suite) confuse(t *testing.T, p webhook.Provider) {
	t.Helper()
	for file, f := range s.fixtures(t, p.Name) {
		if f.Form != "" {
			continue
		}
		var body any
		if err := json.Unmarshal(f.Body, &body); err != nil {
			t.Fatal(err)
		}
		for where, confused := range mutations(body) {
			text, err := json.Marshal(confused)
			if err != nil {
				t.Fatal(err)
			}
			r := f.Request()
			r.Body = text
			s.tame(t, fmt.Sprintf("%s with %s", file, where), p, r)
		}
	}
}

// tame parses what may be anything.
func (s Suite) tame(t testing.TB, what string, p webhook.Provider, r webhook.Request) {
	t.Helper()
	d, err := p.Read(r, s.source(p))
	if err != nil {
		if !isProviders(err) {
			t.Errorf("%s gives %v, which is none of a provider's errors", what, err)
		}
		return
	}
	all, err := webhook.Events(s.Service, s.source(p), r, d, arrival)
	if err != nil {
		return // answered like a body that can't be read
	}
	for _, e := range all {
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%s gives an event that can't be written: %v", what, err)
		}
	}
}

// mutations are the body with each place in turn replaced or left out.
func mutations(body any) map[string]any {
	out := map[string]any{}
	var walk func(at string, v any, put func(any) any)
	walk = func(at string, v any, put func(any) any) {
		for name, other := range map[string]any{
			"null": nil, "a number": 1e3, "a string": "x", "an empty string": "", "a list": []any{}, "an object": map[string]any{}, "true": true,
		} {
			out[at+" as "+name] = put(other)
		}
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				walk(at+"."+key, child, func(other any) any {
					with := maps.Clone(v)
					with[key] = other
					return put(with)
				})
			}
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), child, func(other any) any {
					with := slices.Clone(v)
					with[i] = other
					return put(with)
				})
			}
		}
	}
	walk("body", body, func(other any) any { return other })
	return out
}

func (s Suite) provider(name string) webhook.Provider {
	return s.Table[slices.IndexFunc(s.Table, func(p webhook.Provider) bool { return p.Name == name })]
}

// bed is one receiver on a real bus.
type bed struct {
	suite  Suite
	server *bustest.Embedded
	bus    *bus.Bus
	http   *httptest.Server
}

// maxBody is small, so that a huge body is quick to send.
const maxBody = 64 << 10

func newBed(t *testing.T, s Suite) *bed {
	t.Helper()
	t.Setenv("WEBHOOKTEST_SECRET", Secret)
	t.Setenv("WEBHOOKTEST_OLD", OldSecret)
	var cfg service.Config
	for _, p := range s.Table {
		source := s.Senders[p.Name].Config
		source.Name, source.Provider, source.MaxBody = p.Name, p.Name, maxBody
		source.Secrets = []service.Secret{{Env: "WEBHOOKTEST_SECRET"}, {Env: "WEBHOOKTEST_OLD"}}
		cfg.Receivers.Sources = append(cfg.Receivers.Sources, source)
	}
	b := &bed{suite: s, server: bustest.Server(t)}
	b.bus = bustest.Connect(t, b.server.URL())
	door, err := webhook.New(s.Service, cfg, s.Table, b.bus, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b.http = httptest.NewServer(door)
	t.Cleanup(b.http.Close)
	return b
}
