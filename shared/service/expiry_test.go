package service_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// When a certificate ends is told of the one in force, which changes with its
// file.
func TestTheEndOfACertificateIsTold(t *testing.T) {
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	cert, key := ca.Issue(t, "one", 48*time.Hour)
	pairIn(t, dir, cert, key)
	r := servicetest.Start(t, dir, bustest.Server(t).URL(), fmt.Sprintf("  tls: {cert: %s/cert.pem, key: %s/key.pem}\n", dir, dir), "", hookPart)
	const name = `slipway_certificate_expiry_timestamp_seconds{use="listen"} `
	told := func() string {
		for line := range strings.Lines(r.Ops(t, "/metrics")) {
			if value, ok := strings.CutPrefix(line, name); ok {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	first := told()
	if first == "" || strings.Contains(r.Ops(t, "/metrics"), `use="bus`) {
		t.Errorf("it tells %q of its own, and of the bus, which shows none:\n%s", first, r.Ops(t, "/metrics"))
	}
	cert, key = ca.Issue(t, "two", 72*time.Hour)
	servicetest.Write(t, filepath.Join(dir, "key.pem"), key)
	servicetest.Write(t, filepath.Join(dir, "cert.pem"), cert)
	bustest.Until(t, "the new certificate is told", func() bool { now := told(); return now != "" && now != first })
}

func TestAFaultOfTheBusTLSIsToldAtStart(t *testing.T) {
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	cert, key := ca.Issue(t, "one", time.Hour)
	pairIn(t, dir, cert, key)
	for name, c := range map[string]struct{ tls, want string }{
		"right":      {"ca: D/cert.pem, cert: D/cert.pem, key: D/key.pem", ""},
		"no key":     {"cert: D/cert.pem", "bus.tls: it needs both cert and key"},
		"no file":    {"ca: D/none.pem", "bus.tls: read the bus's authorities: open D/none.pem"},
		"not a cert": {"ca: D/key.pem", "bus.tls: read the bus's authorities: D/key.pem has no certificate"},
		"a typo":     {"certs: D/cert.pem", "field certs is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.Load(write(t, strings.ReplaceAll("bus: {url: \"tls://nats:4222\", tls: {"+c.tls+"}}\n", "D", dir)))
			switch want := strings.ReplaceAll(c.want, "D", dir); {
			case want == "" && err != nil:
				t.Error(err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("load: %v\nwant %s", err, want)
			}
		})
	}
}
