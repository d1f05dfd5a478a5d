package service

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
)

// expiry tells when certificates end, looked at when somebody asks: one that was
// renewed and not taken up is seen, too.
type expiry struct {
	desc *prometheus.Desc
	uses map[string]func() *x509.Certificate
}

// newExpiry tells of the certificates by their use; nil is one that isn't
// there.
func newExpiry(uses map[string]func() *x509.Certificate) *expiry {
	return &expiry{prometheus.NewDesc("slipway_certificate_expiry_timestamp_seconds",
		"When a certificate in use ends, as seconds since 1970: listen (ours, of hooks and API), bus (ours), bus-server (the one that the bus showed).",
		[]string{"use"}, nil), uses}
}

func (e *expiry) Describe(to chan<- *prometheus.Desc) { to <- e.desc }

func (e *expiry) Collect(to chan<- prometheus.Metric) {
	for use, find := range e.uses {
		if c := find(); c != nil {
			to <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(c.NotAfter.Unix()), use)
		}
	}
}

// ownCertificate reads the certificate that the next connection to the bus will
// show.
func ownCertificate(t BusTLS) func() *x509.Certificate {
	return func() *x509.Certificate {
		if t.Cert == "" {
			return nil
		}
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil // the connection says so
		}
		return pair.Leaf
	}
}
