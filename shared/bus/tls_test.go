package bus_test

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// secured is a server that wants certificates, with one user that hears the
// answers to one service alone.
func secured(t *testing.T, ca *servicetest.CA) string {
	t.Helper()
	return serve(t, server.Options{
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Pair(t, "nats", 2*time.Hour)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()},
		TLSVerify: true, TLSMap: true,
		Users: []*server.User{{Username: "CN=service", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.service.north.>"}}}}},
	})
}

func TestTheServerKnowsUsByOurCertificate(t *testing.T) {
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	url := secured(t, ca)
	files := bus.TLS{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	cert, key := ca.Issue(t, "service", time.Hour)
	servicetest.Write(t, files.CA, ca.PEM())
	servicetest.Write(t, files.Cert, cert)
	servicetest.Write(t, files.Key, key)
	b := bustest.Open(t, bus.Options{Name: "a name", Inbox: []string{"service", "north"}, URL: url, TLS: files, Log: bustest.Silent()})
	if c := b.ServerCertificate(); c == nil || c.Subject.CommonName != "nats" {
		t.Errorf("the server's certificate is %v", c)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, o := range map[string]bus.Options{
		"no certificate": {TLS: bus.TLS{CA: files.CA}},
		"no authority":   {TLS: bus.TLS{Cert: files.Cert, Key: files.Key}},
		"another inbox":  {TLS: files, Inbox: []string{"service", "south"}},
	} {
		o.URL, o.Log = url, bustest.Silent()
		if b, err := bus.Connect(short, o); err == nil {
			b.Close()
			t.Errorf("%s: connected", name)
		}
	}
	plain := bustest.Server(t)
	short, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := bus.Connect(short, bus.Options{URL: plain.URL(), TLS: files, Log: bustest.Silent()}); err == nil || !strings.Contains(err.Error(), "secure connection not available") {
		t.Errorf("a server that doesn't encrypt: %v", err)
	}
	for want, o := range map[string]bus.TLS{
		"both cert and key":         {Cert: files.Cert},
		"has no certificate in PEM": {CA: files.Key},
		"none.crt: no such file":    {CA: filepath.Join(dir, "none.crt")},
		"does not match":            {Cert: files.CA, Key: files.Key},
	} {
		if _, err := bus.Connect(t.Context(), bus.Options{URL: url, TLS: o}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), strings.Split(key, "\n")[1]) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
