package registry_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

// server is a registry that can be made to fail, and tells what it was asked.
type server struct {
	url    string
	mu     sync.Mutex
	status int // of every answer, 0: what is asked for
	header http.Header
	asked  int
}

func run(t *testing.T, prefix string) *server {
	t.Helper()
	s := &server{}
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Method == http.MethodHead || r.Method == http.MethodGet {
			s.asked++
		}
		if s.status != 0 {
			maps.Copy(w.Header(), s.header)
			w.WriteHeader(s.status)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(one.Close)
	s.url = one.URL + prefix
	return s
}

func (s *server) answer(status int, header http.Header) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.header = status, header
	return s
}

func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// gone is a server that nobody runs any more.
func gone(t *testing.T) *server {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return &server{url: s.URL}
}

func mirrored(origin *server, mirrors ...*server) *registry.Client {
	h := registry.Host{Name: web.Host, Endpoint: origin.url, Insecure: true}
	for _, m := range mirrors {
		h.Mirrors = append(h.Mirrors, registry.Host{Endpoint: m.url, Insecure: true})
	}
	return registry.New([]registry.Host{h})
}

func address(s *server) string { return strings.TrimPrefix(s.url, "http://") }

// A tag is what the registry says; a mirror counts only while nobody can ask
// there.
func TestATagIsAskedOfItsRegistryFirst(t *testing.T) {
	limited := http.Header{"Retry-After": {"60"}}
	for name, c := range map[string]struct {
		origin  func(s *server) *server
		mirrors bool // the mirror has the tag
		mirror  bool // it is the mirror's word that counts
		want    error
		tell    []string // of the error, "MIRROR" is its address
	}{
		"both are there":                {func(s *server) *server { return s }, true, false, nil, nil},
		"the registry is down":          {func(*server) *server { return gone(t) }, true, true, nil, nil},
		"the registry fails":            {func(s *server) *server { return s.answer(http.StatusBadGateway, nil) }, true, true, nil, nil},
		"the registry limits our rate":  {func(s *server) *server { return s.answer(http.StatusTooManyRequests, limited) }, true, true, nil, nil},
		"the registry lacks it":         {func(s *server) *server { return s.answer(http.StatusNotFound, nil) }, true, false, registry.ErrNotFound, nil},
		"the registry refuses us":       {func(s *server) *server { return s.answer(http.StatusUnauthorized, nil) }, true, false, registry.ErrUnauthorized, nil},
		"down, and the mirror lacks it": {func(*server) *server { return gone(t) }, false, false, errAny, []string{"refused", "its mirrors: MIRROR: ", "404"}},
		"limited, and the mirror lacks": {func(s *server) *server { return s.answer(http.StatusTooManyRequests, limited) }, false, false, errLimit, []string{"limits our rate", "MIRROR: "}},
	} {
		t.Run(name, func(t *testing.T) {
			origin, mirror := run(t, ""), run(t, "")
			right := push(t, origin.url, "main")
			if c.mirrors {
				stale := push(t, mirror.url, "main")
				if c.mirror {
					right = stale
				}
			}
			origin = c.origin(origin)
			found, err := mirrored(origin, mirror).Resolve(t.Context(), events.Image{Repository: web, Tag: "main"})
			if !is(err, c.want) || (err == nil && (found.Digest != right || found.Mirror != c.mirror)) {
				t.Fatalf("%+v, %v; want %s, %v", found, err, right, c.want)
			}
			for _, part := range c.tell {
				if part = strings.ReplaceAll(part, "MIRROR", address(mirror)); !strings.Contains(err.Error(), part) {
					t.Errorf("%v doesn't tell %q", err, part)
				}
			}
			if errors.Is(err, registry.ErrNotFound) != errors.Is(c.want, registry.ErrNotFound) {
				t.Errorf("%v says that there is no such image", err)
			}
		})
	}
}

var errAny, errLimit = errors.New("any"), errors.New("limit")

func is(err, want error) bool {
	_, limited := errors.AsType[*registry.LimitError](err)
	return errors.Is(err, want) || (errors.Is(want, errAny) && err != nil) || (errors.Is(want, errLimit) && limited)
}

// What has a digest proves itself: mirrors are asked first, and passed over.
func TestADigestIsAskedOfMirrorsFirst(t *testing.T) {
	for name, c := range map[string]struct {
		first func(s *server) *server
		at    string // who is the last to be asked
	}{
		"the mirror has it":      {func(s *server) *server { return s }, "first"},
		"the mirror lacks it":    {func(*server) *server { return run(t, "") }, "second"},
		"the mirror is down":     {func(*server) *server { return gone(t) }, "second"},
		"the mirror fails":       {func(s *server) *server { return s.answer(http.StatusInternalServerError, nil) }, "second"},
		"the mirror refuses us":  {func(s *server) *server { return s.answer(http.StatusForbidden, nil) }, "second"},
		"the mirror has another": {func(*server) *server { return liar(t) }, "second"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, origin := run(t, ""), run(t, ""), run(t, "")
			digest := copied(t, first, second, origin)
			first = c.first(first)
			before := map[string]int{"first": first.requests(), "second": second.requests(), "origin": origin.requests()}
			have, err := mirrored(origin, first, second).Platforms(t.Context(), events.Image{Repository: web, Digest: digest})
			if err != nil || len(have) != 1 {
				t.Fatalf("%v, %v", have, err)
			}
			if asked := second.requests() > before["second"]; asked != (c.at == "second") || origin.requests() != before["origin"] {
				t.Errorf("the second mirror was asked: %v; the registry: %d times", asked, origin.requests()-before["origin"])
			}
		})
	}
	t.Run("no mirror has it", func(t *testing.T) {
		origin := run(t, "")
		digest := copied(t, origin)
		if _, err := mirrored(origin, gone(t), run(t, "")).Platforms(t.Context(), events.Image{Repository: web, Digest: digest}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("all are down", func(t *testing.T) {
		origin, mirror := gone(t), gone(t)
		_, err := mirrored(origin, mirror).Platforms(t.Context(), events.Image{Repository: web, Digest: digestOf(nil)})
		if err == nil || !strings.Contains(err.Error(), address(origin)) || !strings.Contains(err.Error(), "its mirrors: "+address(mirror)) {
			t.Fatalf("%v doesn't name both", err)
		}
	})
}

// Whoever doesn't answer leaves time for others.
func TestWhoHangsIsPassedOver(t *testing.T) {
	done := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(h.Close)
	t.Cleanup(func() { close(done) })
	hangs, good := &server{url: h.URL}, run(t, "")
	digest := copied(t, good)
	for name, ask := range map[string]func(ctx context.Context) error{
		"the registry, for a tag": func(ctx context.Context) error {
			found, err := mirrored(hangs, good).Resolve(ctx, events.Image{Repository: web, Tag: "1.0.0"})
			if err == nil && !found.Mirror {
				t.Errorf("found %+v", found)
			}
			return err
		},
		"a mirror, for a digest": func(ctx context.Context) error {
			_, err := mirrored(good, hangs).Platforms(ctx, events.Image{Repository: web, Digest: digest})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := ask(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// A mirror that failed isn't waited for again and again.
func TestAMirrorThatFailedIsLeftAloneForAMoment(t *testing.T) {
	origin, mirror := run(t, ""), run(t, "").answer(http.StatusBadGateway, nil)
	digest := copied(t, origin)
	c := mirrored(origin, mirror)
	for range 5 {
		if _, err := c.Platforms(t.Context(), events.Image{Repository: web, Digest: digest}); err != nil {
			t.Fatal(err)
		}
	}
	if mirror.requests() != 1 {
		t.Errorf("it was asked %d times", mirror.requests())
	}
}

// Mirrors such as Harbor's have many registries below paths of theirs.
func TestAMirrorMayHaveAPath(t *testing.T) {
	mirror := run(t, "/proxy/hub")
	st := &store{t: t, url: strings.TrimSuffix(mirror.url, "/proxy/hub"), path: "proxy/hub/" + web.Path}
	img := st.image("1.0.0", linuxAMD64)
	found, err := mirrored(gone(t), mirror).Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
	if err != nil || found.Digest != img.Digest {
		t.Fatalf("%+v, %v", found, err)
	}
}

// A mirror that lacks a signature doesn't make an image unsigned, and lists
// only what was pulled through it.
func TestSignaturesAndListsOfTagsAreTheRegistrys(t *testing.T) {
	ours := newECDSA(t, elliptic.P256(), sum256)
	origin, mirror := run(t, ""), run(t, "")
	digest := copied(t, origin, mirror)
	st := &store{t: t, url: origin.url}
	st.underTag(descriptor{Digest: digest}, st.simple(ours, simplePayload(digest)))
	c := mirrored(origin, mirror)
	if err := c.VerifyCosign(t.Context(), events.Image{Repository: web, Digest: digest}, keys(t, ours)); err != nil {
		t.Error(err)
	}
	if tags, err := c.Tags(t.Context(), web); err != nil || len(tags) != 2 { // 1.0.0, and the signature's
		t.Errorf("%v, %v", tags, err)
	}
	origin.answer(http.StatusInternalServerError, nil)
	if tags, err := c.Tags(t.Context(), web); err == nil {
		t.Errorf("while the registry fails: %v", tags)
	}
}

// copied stores the same image on several servers.
func copied(t *testing.T, servers ...*server) (digest string) {
	t.Helper()
	for _, s := range servers {
		digest = (&store{t: t, url: s.url}).image("1.0.0", linuxAMD64).Digest
	}
	return digest
}

// liar answers every digest with another image.
func liar(t *testing.T) *server {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", imageMedia)
			_, _ = io.WriteString(w, `{"schemaVersion":2,"config":{},"layers":[]}`)
		}
	}))
	t.Cleanup(h.Close)
	return &server{url: h.URL}
}
