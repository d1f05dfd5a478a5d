package keyless_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/keyless"
)

// depot is a TUF repository over HTTP.
type depot struct {
	*httptest.Server
	root string // the file by which it is believed at first

	mu    sync.Mutex
	files map[string][]byte
	asked int
	away  bool
	hold  chan struct{} // answers wait for its end
}

// newDepot has a trusted root, signed until then.
func newDepot(t *testing.T, roots []byte, until time.Time) *depot {
	t.Helper()
	d := &depot{files: map[string][]byte{}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		hold := d.hold
		d.mu.Unlock()
		if hold != nil {
			<-hold
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.asked++
		data, found := d.files[r.URL.Path]
		if !found || d.away {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(d.Close)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	ok(t, err)
	key, err := metadata.KeyFromPublicKey(public)
	ok(t, err)
	root := metadata.Root(until)
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		ok(t, root.Signed.AddKey(key, role))
	}
	targets := metadata.Targets(until)
	target, err := metadata.TargetFile().FromBytes("trusted_root.json", roots, "sha256")
	ok(t, err)
	targets.Signed.Targets["trusted_root.json"] = target
	put := func(path string, sign func(signature.Signer) (*metadata.Signature, error), text func(bool) ([]byte, error)) []byte {
		_, err := sign(signer)
		ok(t, err)
		data, err := text(false)
		ok(t, err)
		d.files[path] = data
		return data
	}
	at := filepath.Join(t.TempDir(), "root.json")
	ok(t, os.WriteFile(at, put("/1.root.json", root.Sign, root.ToBytes), 0o600))
	d.root = at
	put("/1.targets.json", targets.Sign, targets.ToBytes)
	snapshot, timestamp := metadata.Snapshot(until), metadata.Timestamp(until)
	put("/1.snapshot.json", snapshot.Sign, snapshot.ToBytes)
	put("/timestamp.json", timestamp.Sign, timestamp.ToBytes)
	d.files[fmt.Sprintf("/targets/%s.trusted_root.json", target.Hashes["sha256"])] = roots
	return d
}

func (d *depot) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *depot) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

var somebody = []api.Identity{{Issuer: actions, Subject: workflow}}

func TestTheTrustedRootComesByTUF(t *testing.T) {
	t.Parallel()
	roots := rootsOf(t, sigstore(t), parts{})
	d := newDepot(t, roots, time.Now().Add(time.Hour))
	dir := t.TempDir()
	s := keyless.NewSigstore(keyless.Options{URL: d.URL, Root: d.root, Dir: dir})
	got, err := s.Trust(t.Context(), somebody)
	ok(t, err)
	want, err := keyless.New("r.json", roots, somebody)
	ok(t, err)
	if got.ID() != want.ID() {
		t.Error("it isn't trusted by the roots that the repository has")
	}
	asked := d.requests()
	if _, err := s.Trust(t.Context(), somebody); err != nil || d.requests() != asked {
		t.Errorf("asked again at once: %d requests, then %d, %v", asked, d.requests(), err)
	}

	// What was kept counts at the next start while the repository is away; who has
	// kept nothing is told what to do.
	d.set(func() { d.away = true })
	got, err = keyless.NewSigstore(keyless.Options{URL: d.URL, Root: d.root, Dir: dir}).Trust(t.Context(), somebody)
	if err != nil || got.ID() != want.ID() {
		t.Errorf("what was kept doesn't count: %v", err)
	}
	_, err = keyless.NewSigstore(keyless.Options{URL: d.URL, Root: d.root}).Trust(t.Context(), somebody)
	if !errors.Is(err, keyless.ErrNoRoots) || !strings.Contains(err.Error(), "sigstore.roots") {
		t.Errorf("with the repository away: %v", err)
	}
}

func TestWhoMayNotWaitIsToldWhatIsKnown(t *testing.T) {
	t.Parallel()
	roots := rootsOf(t, sigstore(t), parts{})
	d := newDepot(t, roots, time.Now().Add(time.Hour))
	s := keyless.NewSigstore(keyless.Options{URL: d.URL, Root: d.root})
	// Nothing can be had: that is known, too, and nobody else waits for it.
	d.set(func() { d.away = true })
	if _, known, err := s.Known(t.Context(), somebody); known || err != nil {
		t.Fatalf("before anybody asked: known %t, %v", known, err)
	}
	s.Settle()
	asked := d.requests()
	_, known, err := s.Known(t.Context(), somebody)
	if _, again := s.Trust(t.Context(), somebody); !known || !errors.Is(err, keyless.ErrNoRoots) || !errors.Is(again, keyless.ErrNoRoots) || d.requests() != asked {
		t.Errorf("after that: known %t, %v, then %v, %d requests more", known, err, again, d.requests()-asked)
	}

	d.set(func() { d.away = false })
	s.Age(keyless.RootsRefused)
	first, err := s.Trust(t.Context(), somebody)
	ok(t, err)
	second, known, err := s.Known(t.Context(), somebody)
	if !known || err != nil || second.ID() != first.ID() {
		t.Errorf("after it was asked: known %t, %v", known, err)
	}
}

func TestATrustedRootIsAskedForAgainBeside(t *testing.T) {
	t.Parallel()
	former, later := rootsOf(t, sigstore(t), parts{}), rootsOf(t, sigstore(t), parts{})
	before, after := newDepot(t, former, time.Now().Add(time.Hour)), newDepot(t, later, time.Now().Add(time.Hour))
	s := keyless.NewSigstore(keyless.Options{URL: before.URL, Root: before.root})
	of := func(text []byte) string {
		want, err := keyless.New("r.json", text, somebody)
		ok(t, err)
		return want.ID()
	}
	got, err := s.Trust(t.Context(), somebody)
	ok(t, err)
	if got.ID() != of(former) {
		t.Fatal("not by the repository's roots")
	}

	// The day after, the repository has others: who asks isn't held up by that, and
	// is told in the end.
	hold := make(chan struct{})
	before.set(func() { before.files, before.hold = after.files, hold })
	root, err := os.ReadFile(after.root)
	ok(t, err)
	ok(t, os.WriteFile(before.root, root, 0o600))
	s.Age(keyless.RootsFresh + time.Minute)
	got, known, err := s.Known(t.Context(), somebody)
	if !known || err != nil || got.ID() != of(former) {
		t.Fatalf("while it is asked: known %t, %v", known, err)
	}
	close(hold)
	s.Settle()
	got, err = s.Trust(t.Context(), somebody)
	ok(t, err)
	if got.ID() != of(later) {
		t.Error("the new roots don't count")
	}

	// Who leaves before the answer leaves it to the next.
	hold = make(chan struct{})
	before.set(func() { before.hold = hold })
	s.Age(3 * keyless.RootsFresh)
	leaving, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.Trust(leaving, somebody); !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	asked := before.requests()
	close(hold)
	s.Settle()
	answered := before.requests()
	if got, err = s.Trust(t.Context(), somebody); err != nil || got.ID() != of(later) || answered == asked || before.requests() != answered {
		t.Errorf("after somebody left: %v, %d requests, then %d and %d", err, asked, answered, before.requests())
	}

	// After too long nothing old counts.
	before.set(func() { before.away = true })
	s.Age(3 * keyless.RootsFresh)
	if _, err := s.Trust(t.Context(), somebody); !errors.Is(err, keyless.ErrNoRoots) {
		t.Errorf("three days later, with the repository away: %v", err)
	}
}

func TestATUFRepositoryIsHeldToItsRoot(t *testing.T) {
	t.Parallel()
	roots := rootsOf(t, sigstore(t), parts{})
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	other := newDepot(t, roots, in(time.Hour))
	expired, changed := newDepot(t, roots, in(-time.Hour)), newDepot(t, roots, in(time.Hour))
	for path := range changed.files {
		if strings.HasPrefix(path, "/targets/") {
			changed.files[path] = bytes.ToUpper(roots)
		}
	}
	for name, o := range map[string]keyless.Options{
		"another's":                {URL: newDepot(t, roots, in(time.Hour)).URL, Root: other.root},
		"the public Sigstore's":    {URL: other.URL},
		"expired":                  {URL: expired.URL, Root: expired.root},
		"a target that is changed": {URL: changed.URL, Root: changed.root},
		"no root":                  {URL: other.URL, Root: filepath.Join(t.TempDir(), "absent.json")},
	} {
		if _, err := keyless.NewSigstore(o).Trust(t.Context(), somebody); !errors.Is(err, keyless.ErrNoRoots) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheTrustedRootIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "trusted_root.json")
	s := keyless.NewSigstore(keyless.Options{File: file})
	if _, err := s.Trust(t.Context(), somebody); !errors.Is(err, keyless.ErrNoRoots) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	ok(t, os.WriteFile(file, []byte("{\n"), 0o600))
	if _, err := s.Trust(t.Context(), somebody); err == nil || !strings.Contains(err.Error(), file+":2: ") {
		t.Errorf("with half of one: %v", err)
	}
	ok(t, os.WriteFile(file, rootsOf(t, sigstore(t), parts{}), 0o600))
	if _, err := s.Trust(t.Context(), somebody); err != nil {
		t.Errorf("after it was written: %v", err)
	}
}
