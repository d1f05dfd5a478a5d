package webhooktest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// Fuzz seeds from a provider's fixtures and from the corpus: no body and no header makes the proof
// or the reading panic.
func Fuzz(f *testing.F, s Suite, provider string) {
	f.Helper()
	p := s.provider(provider)
	for _, seed := range s.seeds(f, p) {
		f.Add(seed.headers, seed.body)
	}
	f.Fuzz(func(t *testing.T, headers string, body []byte) { s.fuzz(t, p, headers, body) })
}

type seed struct {
	headers string
	body    []byte
}

func (s Suite) seeds(f *testing.F, p webhook.Provider) (all []seed) {
	f.Helper()
	for _, fixture := range s.fixtures(f, p.Name) {
		r := fixture.Request()
		s.Senders[p.Name].sign(p, r.Header, r.Body, Secret, time.Now())
		all = append(all, newSeed(r))
	}
	return append(all, s.corpusSeeds(f, p)...)
}

func newSeed(r webhook.Request) seed {
	var headers []string
	for name, values := range r.Header {
		headers = append(headers, name+": "+values[0])
	}
	slices.Sort(headers)
	return seed{strings.Join(headers, "\n"), r.Body}
}

func (s Suite) fuzz(t *testing.T, p webhook.Provider, headers string, body []byte) {
	t.Helper()
	r := webhook.Request{Header: http.Header{}, Body: body}
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	// Nobody who doesn't hold the secret proves to have it.
	src := s.source(p)
	src.Secrets = []string{Secret + headers}
	if src.Config.OIDC == nil {
		if err := prove(t.Context(), p, r, src); err == nil && !strings.Contains(headers, Secret) {
			t.Error("an unknown secret is proved")
		}
	} else if err := prove(t.Context(), p, r, src); err != nil && !errors.Is(err, webhook.ErrProof) && !errors.Is(err, webhook.ErrForbidden) {
		t.Errorf("the proof can't be held: %v", err)
	}
	s.tame(t, "this", p, r)
}
