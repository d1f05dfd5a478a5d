// Package servicetest gives tests a running service, and certificates of an
// authority of their own.
package servicetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/freeport"
	"github.com/slipway-cd/slipway/shared/service"
)

// Running is a service with its listeners.
type Running struct {
	Config service.Config
	ended  chan error
	cancel context.CancelFunc
}

// Start writes a config file in dir, runs the parts with it and waits until
// they are ready. The text follows bus and listen, whose TLS it may give as an
// indented block; NATS is the server at url.
func Start(t testing.TB, dir, url, tls, text string, parts ...service.Part) *Running {
	t.Helper()
	file := filepath.Join(dir, "slipway.yaml")
	Write(t, file, fmt.Sprintf("bus: {url: %q}\ndata: %s\nlisten:\n  hooks: %q\n  metrics: %q\n%s%s", url, dir, Address(t), Address(t), tls, text))
	cfg, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{Config: cfg, ended: make(chan error, 1), cancel: cancel}
	go func() { r.ended <- service.Run(ctx, cfg, parts...) }()
	t.Cleanup(cancel)
	bustest.Until(t, "the service is ready", func() bool { return r.Ops(t, "/readyz") == "ok\n" })
	return r
}

// Ops is what the port for metrics and health answers; empty while it doesn't.
func (r *Running) Ops(t testing.TB, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Config.Listen.Metrics+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		return ""
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return body
}

// Usable says whether the part has the config in force as it is now.
func (r *Running) Usable(t testing.TB, part string) bool {
	t.Helper()
	return strings.Contains(r.Ops(t, "/metrics"), fmt.Sprintf("slipway_config_usable{service=%q} 1\n", part))
}

// End tells the service to end, as SIGTERM does; the channel gives what became
// of it.
func (r *Running) End() <-chan error {
	r.cancel()
	return r.ended
}

// Address is one of this machine that nobody else is given.
func Address(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Write puts a file in place of another, as editors and Kubernetes do.
func Write(t testing.TB, file, text string) {
	t.Helper()
	tmp := filepath.Join(filepath.Dir(file), ".new")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, file); err != nil {
		t.Fatal(err)
	}
}

// CA is an authority.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes one.
func NewCA(t testing.TB) *CA {
	t.Helper()
	c := &CA{cert: template(t, "authority", time.Hour)}
	c.cert.IsCA, c.cert.BasicConstraintsValid, c.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	c.key = key(t)
	der, err := x509.CreateCertificate(rand.Reader, c.cert, c.cert, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// Pool trusts the authority alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// PEM is the authority's certificate.
func (c *CA) PEM() string { return encode("CERTIFICATE", c.cert.Raw) }

// Issue gives a certificate and its key in PEM, for hooks.example.com as
// server and client, that ends after so long.
func (c *CA) Issue(t testing.TB, name string, ends time.Duration) (certPEM, keyPEM string) {
	t.Helper()
	return c.IssueFor(t, name, ends, "hooks.example.com")
}

// IssueFor is [CA.Issue] for other hosts.
func (c *CA) IssueFor(t testing.TB, name string, ends time.Duration, hosts ...string) (certPEM, keyPEM string) {
	t.Helper()
	want, k := template(t, name, ends), key(t)
	want.DNSNames, want.IPAddresses = hosts, []net.IP{net.IPv4(127, 0, 0, 1)}
	want.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, want, c.cert, k.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
}

// Pair is [CA.Issue] for a client or server of crypto/tls.
func (c *CA) Pair(t testing.TB, name string, ends time.Duration) tls.Certificate {
	t.Helper()
	cert, key := c.Issue(t, name, ends)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func template(t testing.TB, name string, ends time.Duration) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(ends)}
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
