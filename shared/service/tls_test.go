package service_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// pairIn writes cert.pem and key.pem.
func pairIn(t *testing.T, dir, cert, key string) {
	t.Helper()
	servicetest.Write(t, filepath.Join(dir, "cert.pem"), cert)
	servicetest.Write(t, filepath.Join(dir, "key.pem"), key)
}

func TestAFaultOfTLSIsToldAtStart(t *testing.T) {
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	cert, key := ca.Issue(t, "one", time.Hour)
	_, other := ca.Issue(t, "two", time.Hour)
	pairIn(t, dir, cert, key)
	servicetest.Write(t, filepath.Join(dir, "other.pem"), other)
	for name, c := range map[string]struct{ tls, want string }{
		"right":                    {"cert: D/cert.pem, key: D/key.pem, clientCA: D/cert.pem, minVersion: 1.3", ""},
		"no key":                   {"cert: D/cert.pem", "listen.tls: it needs both cert and key"},
		"only whom to ask":         {"clientCA: D/cert.pem", "listen.tls: it needs both cert and key"},
		"a file that is not there": {"cert: D/none.pem, key: D/key.pem", "D/none.pem: no such file"},
		"another's key":            {"cert: D/cert.pem, key: D/other.pem", "cert D/cert.pem and key D/other.pem: tls: private key does not match public key"},
		"a key for a certificate":  {"cert: D/cert.pem, key: D/key.pem, clientCA: D/key.pem", "listen.tls.clientCA: read D/key.pem: there is no certificate"},
		"an old version":           {"cert: D/cert.pem, key: D/key.pem, minVersion: 1.1", `listen.tls.minVersion: "1.1" is neither`},
		"an unknown field":         {"cert: D/cert.pem, key: D/key.pem, ca: D/cert.pem", "field ca is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.Load(write(t, good+strings.ReplaceAll("listen: {tls: {"+c.tls+"}}", "D", dir)))
			switch want := strings.ReplaceAll(c.want, "D", dir); {
			case want == "" && err != nil:
				t.Error(err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("load: %v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), strings.Split(key, "\n")[1]) {
				t.Errorf("the key is told: %v", err)
			}
		})
	}
}

// anyHook answers every webhook with what tells its connection.
type anyHook struct{}

func (anyHook) Has(*http.Request) bool   { return true }
func (anyHook) Wants(*http.Request) bool { return true }
func (anyHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.Proto, " ", r.RemoteAddr)
}

var hookPart = service.Part{Name: "test", Hooks: true, Run: func(ctx context.Context, s *service.Service) error {
	s.HandleHooks(anyHook{})
	<-ctx.Done()
	return nil
}}

// caller calls the hooks, on connections that stay, and tells by which
// certificate it was answered.
type caller struct {
	url       string
	transport *http.Transport
}

func newCaller(t *testing.T, r *servicetest.Running, ca *servicetest.CA) *caller {
	t.Helper()
	c := &caller{"https://" + r.Config.Listen.Hooks + "/hooks/x", &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

func (c *caller) call(t *testing.T) (certificate, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.TLS.PeerCertificates[0].Subject.CommonName, string(body)
}

// TestKeysRotateUnderTraffic replaces certificate and key as cert-manager
// does: new connections see the new, those that are open go on, and a pair
// that doesn't fit leaves the old in force.
func TestKeysRotateUnderTraffic(t *testing.T) {
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	first, firstKey := ca.Issue(t, "first", time.Hour)
	second, secondKey := ca.Issue(t, "second", time.Hour)
	pairIn(t, dir, first, firstKey)
	settings := fmt.Sprintf("  tls: {cert: %s/cert.pem, key: %s/key.pem}\n", dir, dir)
	r := servicetest.Start(t, dir, bustest.Server(t).URL(), settings, "", hookPart)
	open := newCaller(t, r, ca)
	_, connection := open.call(t)
	if !strings.HasPrefix(connection, "HTTP/2.0 ") {
		t.Errorf("answered %s", connection)
	}
	untilUsable := func(want bool) {
		t.Helper()
		bustest.Until(t, fmt.Sprintf("the config is usable: %v", want), func() bool {
			if _, now := open.call(t); now != connection {
				t.Fatalf("the connection was dropped: %s, then %s", connection, now)
			}
			return r.Usable(t, "listeners") == want
		})
	}
	fresh := func(want string) {
		t.Helper()
		if got, _ := newCaller(t, r, ca).call(t); got != want {
			t.Errorf("a new connection sees %s, want %s", got, want)
		}
	}
	untilUsable(true)
	servicetest.Write(t, filepath.Join(dir, "cert.pem"), second) // the key does not fit yet
	untilUsable(false)
	fresh("first")
	servicetest.Write(t, filepath.Join(dir, "key.pem"), secondKey)
	untilUsable(true)
	fresh("second")
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	untilUsable(false)
	fresh("second")
	// What needs a restart is told, and changes nothing.
	servicetest.Write(t, filepath.Join(dir, "key.pem"), secondKey)
	untilUsable(true)
	text, err := os.ReadFile(r.Config.File)
	if err != nil {
		t.Fatal(err)
	}
	servicetest.Write(t, r.Config.File, strings.Replace(string(text), settings, "", 1))
	untilUsable(false)
	fresh("second")
	if err := <-r.End(); err != nil {
		t.Error(err)
	}
}
