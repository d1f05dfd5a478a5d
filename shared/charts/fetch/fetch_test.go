package fetch_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/registry"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack makes a chart; says tells two of one version apart.
func pack(t testing.TB, version, says string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for file, text := range map[string]string{
		"redis/Chart.yaml": "apiVersion: v2\nname: redis\nversion: " + version + "\n", "redis/values.yaml": "says: " + says + "\n",
	} {
		must(t, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		must(t, err)
	}
	must(t, errors.Join(w.Close(), zip.Close()))
	return b.Bytes()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// site is a chart repository: files by path, and who asked for what.
type site struct {
	*httptest.Server

	mu       sync.Mutex
	files    map[string]string
	asked    []string // "/index.yaml 200 user"
	user     string   // with password "secret"; empty: anybody
	redirect map[string]string
	status   int
}

func newSite(t testing.TB, tls bool) *site {
	t.Helper()
	s := &site{files: map[string]string{}, redirect: map[string]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	record := httptest.NewRecorder()
	body, found := s.files[r.URL.Path]
	switch {
	case s.status != 0:
		record.WriteHeader(s.status)
	case s.user != "" && (user != s.user || password != "secret"):
		record.WriteHeader(http.StatusUnauthorized)
	case s.redirect[r.URL.Path] != "":
		http.Redirect(record, r, s.redirect[r.URL.Path], http.StatusFound)
	case !found:
		record.WriteHeader(http.StatusNotFound)
	default:
		record.Header().Set("ETag", `"`+digest([]byte(body))+`"`)
		http.ServeContent(record, r, r.URL.Path, time.Time{}, strings.NewReader(body))
	}
	s.asked = append(s.asked, fmt.Sprintf("%s %d %s", r.URL.Path, record.Code, user))
	maps.Copy(w.Header(), record.Header())
	w.WriteHeader(record.Code)
	_, _ = w.Write(record.Body.Bytes())
}

// put publishes a version; where says its address in the index, sum its digest.
func (s *site) put(version string, data []byte, where, sum string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files["/index.yaml"] == "" {
		s.files["/index.yaml"] = "apiVersion: v1\nentries:\n  redis:\n"
	}
	s.files["/index.yaml"] += fmt.Sprintf("  - version: %s\n    digest: %q\n    urls: [%q]\n", version, sum, where)
	s.files["/redis-"+version+".tgz"] = string(data)
}

func (s *site) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.asked, "; ")
	s.asked = nil
	return all
}

func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *site) ref(version string) api.ChartRef {
	return api.ChartRef{Repository: s.URL, Name: "redis", Version: version}
}

func newClient(t testing.TB, hosts ...registry.Host) *fetch.Client {
	t.Helper()
	return fetch.New(fetch.Options{Dir: t.TempDir(), Registries: hosts})
}

// is holds that a chart comes, with a version and bytes.
func is(t *testing.T, c *fetch.Client, q fetch.Question, version string, data []byte) {
	t.Helper()
	a, err := c.Fetch(t.Context(), q)
	if err != nil || a.Version != version || !bytes.Equal(a.Data, data) || a.Digest != "sha256:"+digest(data) || a.Name != "redis" {
		t.Errorf("%s: %s, %d bytes, %v; want %s, %d bytes", q.ChartRef, a, len(a.Data), err, version, len(data))
	}
}

func fails(t *testing.T, c *fetch.Client, q fetch.Question, want error, says string) {
	t.Helper()
	if _, err := c.Fetch(t.Context(), q); !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %v that says %q", q.ChartRef, err, want, says)
	}
}

func TestAVersionIsFetchedOnceAndARangeIsAskedAgain(t *testing.T) {
	s := newSite(t, false)
	one, two := pack(t, "1.0.0", "one"), pack(t, "1.1.0", "two")
	s.put("1.0.0", one, "redis-1.0.0.tgz", digest(one))
	c := newClient(t)
	exact, ranged := fetch.Question{ChartRef: s.ref("1.0.0")}, fetch.Question{ChartRef: s.ref("1.x")}
	is(t, c, exact, "1.0.0", one)
	s.said()
	is(t, c, exact, "1.0.0", one)
	is(t, c, ranged, "1.0.0", one)
	is(t, c, ranged, "1.0.0", one)
	if got := s.said(); got != "" {
		t.Errorf("asked for %s, though the index and the archive are here", got)
	}
	now := ranged
	now.Since = time.Now()
	is(t, c, now, "1.0.0", one)
	if got := s.said(); got != "/index.yaml 304 " {
		t.Errorf("asked for %s", got)
	}
	s.put("1.1.0", two, s.URL+"/redis-1.1.0.tgz", "")
	is(t, c, ranged, "1.0.0", one)
	now.Since = time.Now()
	is(t, c, now, "1.1.0", two)
	is(t, c, ranged, "1.1.0", two)
	if got := s.said(); got != "/index.yaml 200 ; /redis-1.1.0.tgz 200 " {
		t.Errorf("asked for %s", got)
	}
	// A version that is published later is found, though the index is known.
	three := pack(t, "1.2.0", "three")
	fails(t, c, fetch.Question{ChartRef: s.ref("1.2.0")}, charts.ErrMissing, "has no version 1.2.0")
	s.put("1.2.0", three, "redis-1.2.0.tgz", "")
	is(t, c, fetch.Question{ChartRef: s.ref("1.2.0")}, "1.2.0", three)
}

func TestAChartThatIsPublishedAnewIsAnother(t *testing.T) {
	s := newSite(t, false)
	one, other := pack(t, "1.0.0", "one"), pack(t, "1.0.0", "other")
	s.put("1.0.0", one, "redis-1.0.0.tgz", digest(one))
	c := newClient(t)
	is(t, c, fetch.Question{ChartRef: s.ref("*")}, "1.0.0", one)
	s.set(func() { delete(s.files, "/index.yaml") })
	s.put("1.0.0", other, "redis-1.0.0.tgz", digest(other))
	is(t, c, fetch.Question{ChartRef: s.ref("*"), Since: time.Now()}, "1.0.0", other)
}

func TestWhatIsWrongIsToldApart(t *testing.T) {
	one := pack(t, "1.0.0", "one")
	for name, c := range map[string]struct {
		prepare func(s *site)
		version string
		err     error
		says    string
	}{
		"no index":         {func(*site) {}, "1.0.0", charts.ErrMissing, "/index.yaml answers 404"},
		"no such chart":    {func(s *site) { s.files["/index.yaml"] = "entries: {}\n" }, "1.0.0", charts.ErrMissing, "there is no chart redis in http://"},
		"an empty range":   {func(s *site) { s.put("1.0.0", one, "redis-1.0.0.tgz", "") }, ">=2", charts.ErrMissing, "1 versions in http://"},
		"no archive":       {func(s *site) { s.put("1.0.0", one, "elsewhere.tgz", "") }, "1.0.0", charts.ErrMissing, "/elsewhere.tgz answers 404"},
		"another digest":   {func(s *site) { s.put("1.0.0", one, "redis-1.0.0.tgz", digest(nil)) }, "1.0.0", charts.ErrDigest, "and should have sha256:e3b0"},
		"no digest":        {func(s *site) { s.put("1.0.0", one, "redis-1.0.0.tgz", "abc") }, "1.0.0", charts.ErrDigest, "is no SHA-256"},
		"a page":           {func(s *site) { s.files["/index.yaml"] = "<html><body>sign in</body></html>\n" }, "1.0.0", charts.ErrBad, "the index is not YAML"},
		"not a chart":      {func(s *site) { s.put("1.0.0", []byte("hello"), "redis-1.0.0.tgz", "") }, "1.0.0", charts.ErrBad, "not packed by gzip"},
		"too large":        {func(s *site) { s.put("1.0.0", make([]byte, charts.MaxPacked+1), "redis-1.0.0.tgz", "") }, "1.0.0", charts.ErrBad, "larger than 20971520 bytes"},
		"refused":          {func(s *site) { s.user = "maria" }, "1.0.0", charts.ErrUnauthorized, "answers 401"},
		"broken":           {func(s *site) { s.status = 502 }, "1.0.0", charts.ErrAway, "answers 502"},
		"a loop":           {func(s *site) { s.redirect["/index.yaml"] = "/index.yaml" }, "1.0.0", charts.ErrAway, "redirects too often"},
		"to another world": {func(s *site) { s.redirect["/index.yaml"] = "http://charts.invalid/x?secret=1" }, "1.0.0", charts.ErrBad, "charts.invalid is plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, false)
			s.set(func() {})
			c.prepare(s)
			fails(t, newClient(t), fetch.Question{ChartRef: s.ref(c.version)}, c.err, c.says)
		})
	}
	s := newSite(t, false)
	s.Close()
	fails(t, newClient(t), fetch.Question{ChartRef: s.ref("1.0.0")}, charts.ErrAway, "connection refused")
}

func TestARepositoryThatIsAwayIsLeftAloneForAWhile(t *testing.T) {
	s := newSite(t, false)
	s.set(func() { s.status = 503 })
	c := newClient(t)
	for range 5 {
		fails(t, c, fetch.Question{ChartRef: s.ref("1.0.0")}, charts.ErrAway, "answers 503")
	}
	if got := s.said(); got != "/index.yaml 503 " {
		t.Errorf("asked for %s", got)
	}
	// Others don't wait for it.
	other, one := newSite(t, false), pack(t, "1.0.0", "one")
	other.put("1.0.0", one, "redis-1.0.0.tgz", "")
	is(t, c, fetch.Question{ChartRef: other.ref("1.0.0")}, "1.0.0", one)
}

func TestCredentialsGoToTheirHostAlone(t *testing.T) {
	s, other := newSite(t, true), newSite(t, true)
	one, two, three := pack(t, "1.0.0", "one"), pack(t, "1.1.0", "two"), pack(t, "1.2.0", "three")
	s.set(func() { s.user = "maria" })
	other.set(func() { other.files["/redis-1.1.0.tgz"], other.files["/redis-1.2.0.tgz"] = string(two), string(three) })
	s.put("1.0.0", one, "redis-1.0.0.tgz", digest(one))
	s.put("1.1.0", two, other.URL+"/redis-1.1.0.tgz", digest(two))
	s.put("1.2.0", three, "redis-1.2.0.tgz", digest(three))
	s.set(func() { s.redirect["/redis-1.2.0.tgz"] = other.URL + "/redis-1.2.0.tgz" })
	ca := append(pemOf(s), pemOf(other)...)
	auth := base64.StdEncoding.EncodeToString([]byte("maria:secret"))
	for id, data := range map[string]map[string][]byte{
		"plain":  {"username": []byte("maria"), "password": []byte("secret\n"), "ca.crt": ca},
		"docker": {".dockerconfigjson": []byte(`{"auths":{"` + strings.TrimPrefix(s.URL, "https://") + `":{"auth":"` + auth + `"}},"credsStore":"evil"}`), "ca.crt": ca},
	} {
		access, err := fetch.SecretAccess("shop/"+id, s.ref("*"), data)
		must(t, err)
		c := newClient(t)
		for version, want := range map[string][]byte{"1.0.0": one, "1.1.0": two, "1.2.0": three} {
			is(t, c, fetch.Question{ChartRef: s.ref(version), Access: access}, version, want)
		}
	}
	if got := other.said(); strings.Contains(got, "maria") || !strings.Contains(got, "/redis-1.2.0.tgz 200 ") {
		t.Errorf("the other host saw %s", got)
	}
	noCA, err := fetch.SecretAccess("shop/x", s.ref("*"), map[string][]byte{"username": []byte("maria"), "password": []byte("secret")})
	must(t, err)
	fails(t, newClient(t), fetch.Question{ChartRef: s.ref("1.0.0"), Access: noCA}, charts.ErrAway, "certificate")
	insecure := newClient(t, registry.Host{Name: strings.TrimPrefix(s.URL, "https://"), Insecure: true, User: "maria", Password: "secret"})
	is(t, insecure, fetch.Question{ChartRef: s.ref("1.0.0"), Access: fetch.Config}, "1.0.0", one)
	fails(t, insecure, fetch.Question{ChartRef: s.ref("1.0.0")}, charts.ErrUnauthorized, "401")
}

func pemOf(s *site) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestASecretThatCantBeUsedIsToldWithoutItsValues(t *testing.T) {
	ref := api.ChartRef{Repository: "oci://ghcr.io/acme", Name: "redis", Version: "1.0.0"}
	for says, data := range map[string]map[string][]byte{
		"none of the keys":      {"token": []byte("hunter2")},
		"belong together":       {"password": []byte("hunter2")},
		"keep one":              {"username": []byte("hunter2"), "password": []byte("x"), ".dockerconfigjson": []byte("{}")},
		"is not JSON":           {".dockerconfigjson": []byte("hunter2")},
		"no entry for ghcr.io":  {".dockerconfigjson": []byte(`{"auths":{"hunter2":{}}}`)},
		"is not base64":         {".dockerconfigjson": []byte(`{"auths":{"ghcr.io":{"auth":"!hunter2"}}}`)},
		"no user and password":  {".dockerconfigjson": []byte(`{"auths":{"https://ghcr.io":{"username":"hunter2"}}}`)},
		"no certificate in PEM": {"ca.crt": []byte("hunter2")},
	} {
		_, err := fetch.SecretAccess("shop/x", ref, data)
		if !errors.Is(err, fetch.ErrCredentials) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestWhatIsKeptIsForThoseWhoFetchedIt(t *testing.T) {
	s, one := newSite(t, false), pack(t, "1.0.0", "one")
	s.put("1.0.0", one, "redis-1.0.0.tgz", digest(one))
	s.set(func() { s.user = "maria" })
	dir := t.TempDir()
	c := fetch.New(fetch.Options{Dir: dir})
	maria, err := fetch.SecretAccess("shop/maria 1", s.ref("*"), map[string][]byte{"username": []byte("maria"), "password": []byte("secret")})
	must(t, err)
	mallory, err := fetch.SecretAccess("shop/mallory 1", s.ref("*"), map[string][]byte{"username": []byte("mallory"), "password": []byte("guess")})
	must(t, err)
	for _, version := range []string{"1.0.0", "1.x"} {
		is(t, c, fetch.Question{ChartRef: s.ref(version), Access: maria}, "1.0.0", one)
		for _, access := range []fetch.Access{mallory, {}, fetch.Config} {
			fails(t, c, fetch.Question{ChartRef: s.ref(version), Access: access}, charts.ErrUnauthorized, "401")
		}
	}
	// Nor by an index of his own that names its digest.
	own := newSite(t, false)
	own.put("1.0.0", []byte("nothing"), "redis-1.0.0.tgz", digest(one))
	fails(t, c, fetch.Question{ChartRef: own.ref("1.x"), Access: mallory}, charts.ErrDigest, "")
	must(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			data, readErr := os.ReadFile(name)
			must(t, readErr)
			if bytes.Contains(data, []byte("secret")) {
				t.Errorf("%s has the password", name)
			}
		}
		return err
	}))
}

func TestWhatIsKeptIsWholeAndBounded(t *testing.T) {
	s, dir := newSite(t, false), t.TempDir()
	packed := map[string][]byte{}
	for i := range 6 {
		version := fmt.Sprintf("1.%d.0", i)
		packed[version] = pack(t, version, strings.Repeat(digest([]byte(version)), 40))
		s.put(version, packed[version], "redis-"+version+".tgz", "")
	}
	c := fetch.New(fetch.Options{Dir: dir})
	is(t, c, fetch.Question{ChartRef: s.ref("1.0.0")}, "1.0.0", packed["1.0.0"])
	// A file that a crash of the machine has cut is fetched anew; one that was
	// being written is nothing.
	blob := filepath.Join(dir, "blobs", digest(packed["1.0.0"]))
	must(t, os.WriteFile(blob, packed["1.0.0"][:20], 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "blobs", ".partly-1"), []byte("x"), 0o600))
	again := fetch.New(fetch.Options{Dir: dir})
	is(t, again, fetch.Question{ChartRef: s.ref("1.0.0")}, "1.0.0", packed["1.0.0"])
	s.said()
	is(t, fetch.New(fetch.Options{Dir: dir}), fetch.Question{ChartRef: s.ref("1.0.0")}, "1.0.0", packed["1.0.0"])
	if got := s.said(); got != "" {
		t.Errorf("another process asked for %s", got)
	}
	// Two clients with little room bring all, and keep to it.
	room := int64(3 * len(packed["1.0.0"]))
	var done sync.WaitGroup
	for range 2 {
		small := fetch.New(fetch.Options{Dir: dir, Max: room})
		done.Go(func() {
			for version, data := range packed {
				is(t, small, fetch.Question{ChartRef: s.ref(version)}, version, data)
			}
		})
	}
	done.Wait()
	sum := int64(0)
	entries, err := os.ReadDir(filepath.Join(dir, "blobs"))
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		sum += info.Size()
	}
	if sum > room {
		t.Errorf("%d bytes are kept, and %d are the most", sum, room)
	}
}
