package gitrepo_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// guard lets in who knows the password, and counts the others.
func guard(password string, strangers *atomic.Int32) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, p, _ := r.BasicAuth(); p != password {
				strangers.Add(1)
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

// inTLS puts a handler behind a certificate of its own, and gives that.
func inTLS(t *testing.T, h http.Handler) (address string, ca []byte) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// through hands everything to another server.
func through(t *testing.T, to string) http.Handler {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, ErrorLog: quiet()}
}

func TestACertificateOfOnesOwnIsTrustedWhereItIsNamed(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	at, ca := inTLS(t, through(t, strings.TrimSuffix(w.URL, "/acme/config.git")))
	o := gitrepo.Options{URL: at + "/acme/config.git", Branch: "main", Dir: t.TempDir(), CA: ca}
	m := openWith(t, o)
	if _, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"})); err != nil {
		t.Fatal(err)
	}
	o.CA, o.Dir = nil, t.TempDir()
	var unknown x509.UnknownAuthorityError
	if _, err := openWith(t, o).Fetch(t.Context()); !errors.As(err, &unknown) {
		t.Fatalf("fetch without the certificate: %v, want that it isn't trusted", err)
	}
	o.CA = []byte("-----BEGIN NONSENSE-----")
	if _, err := gitrepo.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
		t.Fatalf("open with a broken file: %v", err)
	}
}

// connectProxy is a proxy that demands its own password and tells where it
// was asked to connect to.
func connectProxy(t *testing.T) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("maria:pa55"))
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		mu.Lock()
		all = append(all, r.Host)
		mu.Unlock()
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://maria:pa55@", 1), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func TestAProxyIsGoneThrough(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	at, ca := inTLS(t, through(t, strings.TrimSuffix(w.URL, "/acme/config.git")))
	proxy, asked := connectProxy(t)
	o := gitrepo.Options{URL: at + "/acme/config.git", Branch: "main", Dir: t.TempDir(), CA: ca, Proxy: proxy}
	m := openWith(t, o)
	if _, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"})); err != nil {
		t.Fatal(err)
	}
	if got := asked(); len(got) == 0 || got[0] != strings.TrimPrefix(at, "https://") {
		t.Fatalf("the proxy was asked for %v", got)
	}
	for name, proxy := range map[string]string{
		"wrong password": strings.Replace(proxy, "pa55", "wr0ng", 1), "not there": "http://maria:wr0ng@127.0.0.1:1",
		"not a proxy": "ftp://maria:wr0ng@proxy:1", "no address": "http://maria:wr0ng@pro xy",
	} {
		o.Proxy, o.Dir = proxy, t.TempDir()
		m, err := gitrepo.Open(t.Context(), o)
		if err == nil {
			_, err = m.Fetch(t.Context())
		}
		if err == nil || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v, want an error without the password", name, err)
		}
	}
}

func TestCredentialsDoNotFollowToAnotherHost(t *testing.T) {
	var leaked atomic.Bool
	open := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				leaked.Store(true)
			}
			h.ServeHTTP(w, r)
		})
	})
	w := open.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	asked := 0
	first := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(rw, r, open.URL+r.URL.String(), http.StatusMovedPermanently)
	}))
	t.Cleanup(first.Close)
	m := openWith(t, gitrepo.Options{URL: first.URL + "/acme/config.git", Branch: "main", Dir: t.TempDir(), Password: "s3cret"})
	base := fetch(t, m)
	w.Commit("more", map[string]string{"a.yaml": "a: 2\n"})
	fetch(t, m) // go-git would have kept the other address for this one
	_, err := m.Push(t.Context(), base, change(map[string]string{"a.yaml": "a: 3\n"}))
	if err == nil || !strings.Contains(err.Error(), "name that address in the config") {
		t.Errorf("push to a host that sends elsewhere: %v", err)
	}
	if leaked.Load() || asked != 2 {
		t.Fatalf("the other host saw the credentials: %t; the own host was asked %d times, want 2", leaked.Load(), asked)
	}
}

func TestARenamedRepositoryIsPushedToWhereItIs(t *testing.T) {
	var strangers atomic.Int32
	s := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return guard("s3cret", &strangers)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rest, old := strings.CutPrefix(r.URL.Path, "/old/config.git"); old {
				http.Redirect(w, r, "/acme/config.git"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
				return
			}
			h.ServeHTTP(w, r)
		}))
	})
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := openWith(t, gitrepo.Options{URL: s.URL + "/old/config.git", Branch: "main", Dir: t.TempDir(), Password: "s3cret"})
	made, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"}))
	if err != nil {
		t.Fatal(err)
	}
	w.Pull()
	if got := w.Git("rev-parse", "HEAD"); got != made.Hash() || strangers.Load() != 0 {
		t.Fatalf("branch is at %s, want %s; %d requests had no password", got, made.Hash(), strangers.Load())
	}
}

// github is GitHub's API as its documentation has it: it gives a token of an
// installation to who proves to be the app, and takes nothing else.
type github struct {
	key      *rsa.PublicKey
	lifetime time.Duration
	given    atomic.Int32
}

func (g *github) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	switch {
	case r.URL.Path != "/api/v3/app/installations/4711/access_tokens" || r.Method != http.MethodPost:
		answer(http.StatusNotFound, map[string]string{"message": "Not Found"})
	case r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("User-Agent") == "":
		answer(http.StatusBadRequest, map[string]string{"message": "Bad headers"})
	case g.check(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) != nil:
		answer(http.StatusUnauthorized, map[string]string{"message": g.check(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")).Error()})
	default:
		answer(http.StatusCreated, map[string]any{
			"token": fmt.Sprintf("ghs_%d", g.given.Add(1)), "expires_at": time.Now().Add(g.lifetime).UTC().Format(time.RFC3339),
			"permissions": map[string]string{"contents": "write"}, "repository_selection": "selected",
		})
	}
}

func (g *github) check(jwt string) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return errors.New("A JSON web token could not be decoded")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(g.key, crypto.SHA256, digest[:], signature); err != nil {
		return errors.New("A JSON web token could not be decoded")
	}
	var head struct{ Alg, Typ string }
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return err
		}
	}
	now := time.Now().Unix()
	switch {
	case head.Alg != "RS256":
		return errors.New("'alg' must be RS256")
	case claims.Iss != "Iv1.abc":
		return errors.New("'Issuer' claim ('iss') must be an Integer or the client id")
	case claims.Iat > now, claims.Exp <= now, claims.Exp-claims.Iat > 600:
		return errors.New("'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

// appKey makes a key as GitHub gives it out.
func appKey(t *testing.T) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func TestAGitHubAppSignsIn(t *testing.T) {
	key, text := appKey(t)
	hub := &github{key: &key.PublicKey, lifetime: time.Hour}
	api, ca := inTLS(t, hub)
	app, err := gitrepo.NewGitHubApp(gitrepo.AppOptions{ID: "Iv1.abc", Installation: "4711", PrivateKey: text, Endpoint: api + "/api/v3/", CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	// The host takes the token that was given last.
	s := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, p, _ := r.BasicAuth()
			if user != "x-access-token" || p != fmt.Sprintf("ghs_%d", hub.given.Load()) {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := openWith(t, gitrepo.Options{URL: w.URL, Branch: "main", Dir: t.TempDir(), App: app})
	if _, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"})); err != nil {
		t.Fatal(err)
	}
	if fetch(t, m); hub.given.Load() != 1 {
		t.Fatalf("GitHub gave %d tokens for one hour, want 1", hub.given.Load())
	}
	hub.given.Add(1) // as if ours were revoked
	if _, err := m.Fetch(t.Context()); !errors.Is(err, gitrepo.ErrUnauthorized) || strings.Contains(err.Error(), "ghs_") {
		t.Fatalf("fetch with a revoked token: %v, want ErrUnauthorized", err)
	}
	fetch(t, m) // with a new one
	fetch(t, m)
	if got := hub.given.Load(); got != 3 {
		t.Fatalf("GitHub gave %d tokens, want 3: the last is good for an hour", got)
	}
}

func TestATokenIsReplacedBeforeItEnds(t *testing.T) {
	key, text := appKey(t)
	hub := &github{key: &key.PublicKey, lifetime: 4 * time.Minute}
	s := httptest.NewServer(hub)
	t.Cleanup(s.Close)
	app, err := gitrepo.NewGitHubApp(gitrepo.AppOptions{ID: "Iv1.abc", Installation: "4711", PrivateKey: text, Endpoint: s.URL + "/api/v3"})
	if err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		if got, err := app.Token(t.Context()); err != nil || got != fmt.Sprintf("ghs_%d", want+1) {
			t.Fatalf("token is %q, %v, want the %dth", got, err, want+1)
		}
	}
}

func TestAnAppThatCannotSignInIsSaidClearly(t *testing.T) {
	key, text := appKey(t)
	_, other := appKey(t)
	s := httptest.NewServer(&github{key: &key.PublicKey, lifetime: time.Hour})
	t.Cleanup(s.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(s.URL, http.StatusTemporaryRedirect))
	t.Cleanup(elsewhere.Close)
	good := gitrepo.AppOptions{ID: "Iv1.abc", Installation: "4711", PrivateKey: text, Endpoint: s.URL + "/api/v3"}
	for name, c := range map[string]struct {
		change func(*gitrepo.AppOptions)
		want   string
	}{
		"another app's key":       {func(o *gitrepo.AppOptions) { o.PrivateKey = other }, "could not be decoded"},
		"unknown installation":    {func(o *gitrepo.AppOptions) { o.Installation = "1" }, "Not Found"},
		"installation by name":    {func(o *gitrepo.AppOptions) { o.Installation = "acme" }, "number of an installation"},
		"no app":                  {func(o *gitrepo.AppOptions) { o.ID = "" }, "needs an app id"},
		"no PEM":                  {func(o *gitrepo.AppOptions) { o.PrivateKey = []byte("hunter2") }, "not in PEM form"},
		"no RSA key":              {func(o *gitrepo.AppOptions) { o.PrivateKey = read(t, sshKey(t, "", "ed25519")) }, "no RSA key"},
		"endpoint with a secret":  {func(o *gitrepo.AppOptions) { o.Endpoint = "https://m:hunter2@github.com" }, "without credentials"},
		"sent to another address": {func(o *gitrepo.AppOptions) { o.Endpoint = elsewhere.URL }, "must not go"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			app, err := gitrepo.NewGitHubApp(o)
			if err == nil {
				_, err = app.Token(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAProxyOfTheEnvironmentIsHonoured(t *testing.T) {
	if os.Getenv("SLIPWAY_TEST_CHILD") != "" {
		m := openWith(t, gitrepo.Options{URL: "http://git.example.com/acme/config.git", Branch: "main", Dir: t.TempDir()})
		if _, err := m.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	git := through(t, strings.TrimSuffix(w.URL, "/acme/config.git"))
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "git.example.com" {
			http.Error(rw, "not through a proxy", http.StatusBadRequest)
			return
		}
		r.URL.Scheme, r.URL.Host = "", ""
		git.ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	// net/http reads the environment once in a process.
	child := exec.Command(os.Args[0], "-test.run", "^TestAProxyOfTheEnvironmentIsHonoured$")
	child.Env = append(os.Environ(), "SLIPWAY_TEST_CHILD=1", "HTTP_PROXY="+proxy.URL)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("fetch through the environment's proxy: %v\n%s", err, out)
	}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
