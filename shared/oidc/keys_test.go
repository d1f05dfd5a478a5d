package oidc_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/oidc/oidctest"
)

// clock is one that tests turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestAnIssuerThatCantBeAskedIsNoFaultOfTheToken(t *testing.T) {
	s := oidctest.Start(t, false)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"down":             {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) }, "502"},
		"hanging":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		"no JSON":          {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "invalid character"},
		"another's":        {document(`{"issuer":"https://other.example.com","jwks_uri":"%s/keys"}`, s), "other.example.com"},
		"a slash more":     {document(`{"issuer":"%[1]s/","jwks_uri":"%[1]s/keys"}`, s), "write the issuer exactly so"},
		"no issuer":        {document(`{"jwks_uri":"%s/keys"}`, s), "discovery document is of issuer"},
		"no keys' address": {document(`{"issuer":"%s"}`, s), "jwks_uri"},
		"keys over http":   {document(`{"issuer":"%s","jwks_uri":"http://keys.example.com/"}`, s), "not https://"},
		"keys in a file":   {document(`{"issuer":"%s","jwks_uri":"file:///etc/passwd"}`, s), "not https://"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
		}, "302"},
		"too many keys": {func(w http.ResponseWriter, r *http.Request) {
			s.Serve(w, r, []any{s.Key.JWK(), map[string]any{"x": strings.Repeat("x", 1<<20)}})
		}, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Answer(c.answer)
			i := oidc.New(s.URL, oidc.Options{})
			if err := verify(t, i, s.Token(t, nil)); !errors.Is(err, oidc.ErrKeys) || errors.Is(err, oidc.ErrToken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("gives %v, want %q", err, c.want)
			}
			// Who isn't of the issuer needn't wait for it.
			if err := verify(t, i, s.Token(t, map[string]any{"iss": "https://other.example.com"})); !errors.Is(err, oidc.ErrToken) {
				t.Errorf("another issuer's token gives %v", err)
			}
		})
	}
}

func document(text string, s *oidctest.Issuer) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, text, s.URL) }
}

func away(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "away", http.StatusServiceUnavailable)
}

func TestKeysAreAskedForSeldomAndOutliveTheirIssuerForADay(t *testing.T) {
	s := oidctest.Start(t, false)
	c := &clock{now: time.Now()}
	i := oidc.New(s.URL, oidc.Options{Now: c.Now})
	token := func(k oidctest.Key) string { return k.Sign(t, nil, s.Claims(c.Now(), nil)) }
	next := oidctest.NewKey(t, "two", "RS256")
	step := func(what string, k oidctest.Key, want error, requests int) {
		t.Helper()
		if err := verify(t, i, token(k)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if n := s.Requests(); n != requests {
			t.Errorf("%s: asked %d times, want %d", what, n, requests)
		}
	}
	s.Answer(away)
	step("away at first", s.Key, oidc.ErrKeys, 1)
	step("away, at once again", s.Key, oidc.ErrKeys, 1)
	c.add(6 * time.Second)
	s.Answer(nil)
	step("there again", s.Key, nil, 2)
	for range 3 {
		step("a key that isn't there", next, oidc.ErrToken, 2)
		step("a key that is", s.Key, nil, 2)
	}
	s.Publish(s.Key, next)
	c.add(2 * time.Minute)
	step("a new key", next, nil, 3)
	s.Publish(next)
	step("a key that went, within the hour", s.Key, nil, 3)
	c.add(61 * time.Minute)
	step("a key that went, after it", s.Key, oidc.ErrToken, 4)
	s.Answer(away)
	c.add(61 * time.Minute)
	step("a known key without its issuer", next, nil, 5)
	step("a known key at once again", next, nil, 5)
	step("an unknown one", s.Key, oidc.ErrKeys, 5)
	c.add(24 * time.Hour)
	step("a known key a day later", next, oidc.ErrKeys, 6)
	s.Answer(nil)
	c.add(6 * time.Second)
	step("and with its issuer again", next, nil, 7)
}

// While one asks a slow issuer about a made-up key, others go on.
func TestWhoseKeyIsKnownDoesntWaitForTheIssuer(t *testing.T) {
	s := oidctest.Start(t, false)
	c := &clock{now: time.Now()}
	i := oidc.New(s.URL, oidc.Options{Now: c.Now})
	if err := verify(t, i, s.Token(t, nil)); err != nil {
		t.Fatal(err)
	}
	asked, hang := make(chan struct{}), make(chan struct{})
	s.Answer(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-hang
	})
	c.add(2 * time.Minute)
	forged := s.Key.Sign(t, map[string]any{"kid": "made up"}, s.Claims(c.Now(), nil))
	done := make(chan error)
	go func() {
		_, err := i.Verify(t.Context(), forged, "slipway")
		done <- err
	}()
	<-asked
	if err := verify(t, i, s.Token(t, nil)); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		t.Errorf("the issuer was not waited for: %v", err)
	default:
	}
	close(hang)
	if err := <-done; !errors.Is(err, oidc.ErrKeys) {
		t.Error(err)
	}
}

func TestManyAtOnceAskOnce(t *testing.T) {
	s := oidctest.Start(t, false)
	i := oidc.New(s.URL, oidc.Options{})
	token := s.Token(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := i.Verify(t.Context(), token, "slipway"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.Requests(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
