package pullrequest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/service"
)

const token = "s3cret-t0ken"

// fake is a Git host that takes what its documentation says, and nothing
// else: a wrong request fails the test.
type fake struct {
	t        *testing.T
	all      []*fakePull
	requests []string // "METHOD path"
	// before is called before each request is answered, and answers it itself
	// when it gives true.
	before func(w http.ResponseWriter, r *http.Request) bool
	routes []route
	header map[string]string // which every request must have
	labels []string          // of the repository, where they have ids
}

// fakePull is what a host knows of a pull request.
type fakePull struct {
	number               int64
	base, head           string
	title, body          string
	state                string // open, closed, merged
	fork                 bool
	labels, reviewers    []string
	comments             []string
	version              int64
	removes, crlf, trims bool
}

// route answers one kind of request. A part {n} of its path is the number of
// a pull request that must be there.
type route struct {
	method, path string
	query        []string // keys that it takes
	handle       func(f *fake, r *http.Request, p *fakePull) (int, any)
}

// RoundTrip makes the fake the transport of a host: nothing goes to a network.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.serve(w, r)
	return w.Result(), nil
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	f.requests = append(f.requests, r.Method+" "+path)
	for name, want := range f.header {
		if got := r.Header.Get(name); got != want {
			f.t.Errorf("%s %s: header %s is %q, want %q", r.Method, path, name, got, want)
		}
	}
	if r.Body != nil && r.Header.Get("Content-Type") != "application/json" {
		f.t.Errorf("%s %s: a body of type %q", r.Method, path, r.Header.Get("Content-Type"))
	}
	if f.before != nil && f.before(w, r) {
		return
	}
	for _, route := range f.routes {
		p, ok := f.match(route, r.Method, path)
		if !ok {
			continue
		}
		for key := range r.URL.Query() {
			if !slices.Contains(route.query, key) {
				f.t.Errorf("%s %s: query %q is not documented", r.Method, path, key)
			}
		}
		status, body := route.handle(f, r, p)
		answer(w, status, body)
		return
	}
	f.t.Errorf("%s %s: no such call is documented", r.Method, path)
	answer(w, http.StatusNotFound, map[string]any{"message": "404 Not Found"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (f *fake) match(route route, method, path string) (*fakePull, bool) {
	want, got := strings.Split(route.path, "/"), strings.Split(path, "/")
	if method != route.method || len(want) != len(got) {
		return nil, false
	}
	var p *fakePull
	for i := range want {
		if want[i] == "{n}" {
			for _, one := range f.all {
				if got[i] == fmt.Sprint(one.number) {
					p = one
				}
			}
			if p == nil {
				return nil, false
			}
			continue
		}
		if want[i] != got[i] {
			return nil, false
		}
	}
	return p, true
}

// read decodes a body that may have only the fields of into.
func (f *fake) read(r *http.Request, into any) {
	f.t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		f.t.Errorf("%s %s: %v in %s", r.Method, r.URL.Path, err, data)
	}
}

// open makes a pull request, as the host does; it gives nil where one is open
// already.
func (f *fake) open(base, head, title, body string) *fakePull {
	for _, p := range f.all {
		if p.state == "open" && p.base == base && p.head == head && !p.fork {
			return nil
		}
	}
	p := &fakePull{number: int64(len(f.all) + 1), base: base, head: head, title: title, body: body, state: "open"}
	f.all = append(f.all, p)
	return p
}

// newest lists pull requests as every host is asked to.
func (f *fake) newest(keep func(*fakePull) bool) []*fakePull {
	var all []*fakePull
	for _, p := range slices.Backward(f.all) {
		if keep(p) {
			all = append(all, p)
		}
	}
	return all
}

func each[T any](all []*fakePull, show func(*fakePull) T) []T {
	shown := []T{}
	for _, p := range all {
		shown = append(shown, show(p))
	}
	return shown
}

// writes counts the requests that change something.
func (f *fake) writes() int {
	n := 0
	for _, r := range f.requests {
		if !strings.HasPrefix(r, http.MethodGet+" ") {
			n++
		}
	}
	return n
}

// shown is the body as the host gives it back.
func (p *fakePull) shown() string {
	body := p.body
	if p.crlf {
		body = strings.ReplaceAll(body, "\n", "\r\n")
	}
	if p.trims {
		body = strings.TrimSpace(body)
	}
	return body
}

func (p *fakePull) commit() string {
	return fmt.Sprintf("%040x", 0xabc000+p.number)
}

func (p *fakePull) mergeCommit() any {
	if p.state != "merged" {
		return nil
	}
	return fmt.Sprintf("%040x", 0xdef000+p.number)
}

// fakeHost is one kind of host with its fake.
type fakeHost struct {
	kind       string
	repository string // its address
	header     map[string]string
	routes     []route
	labels     bool
}

var fakeHosts = []fakeHost{fakeGitHub, fakeGitLab, fakeGitea, fakeBitbucketCloud, fakeDataCenter}

// start makes a host that speaks to its fake.
func (h fakeHost) start(t *testing.T) (*fake, pullrequest.Host) {
	t.Helper()
	t.Setenv("PULL_TOKEN", token)
	f := &fake{t: t, routes: h.routes, header: h.header, labels: []string{"bug", "slipway"}}
	host, err := pullrequest.New(h.config(), pullrequest.Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	return f, host
}

func (h fakeHost) config() service.Repository {
	r := service.Repository{URL: h.repository, Branch: "main", Host: service.GitHost{Kind: h.kind}}
	r.Credentials.Token = &service.Secret{Env: "PULL_TOKEN"}
	return r
}
