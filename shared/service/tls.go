package service

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"sync/atomic"
)

// TLS is how the listeners for webhooks and the API prove themselves; without
// a certificate they speak plain HTTP. Metrics and health stay plain. The
// files are read again when they change.
type TLS struct {
	Cert string `yaml:"cert"` // PEM: our own certificate, then those between it and the root
	Key  string `yaml:"key"`  // PEM
	// ClientCA has the authorities (PEM) of which each sender of webhooks must
	// then show a certificate.
	ClientCA string `yaml:"clientCA"`
	// MinVersion is the oldest version that is spoken: "1.2" (the default) or
	// "1.3".
	MinVersion string `yaml:"minVersion"`
}

var tlsVersions = map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// Config reads the files; it is nil where nothing is configured.
func (t TLS) Config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil //nolint:nilnil // no TLS is no fault
	}
	f := &faults{}
	version, known := tlsVersions[t.MinVersion]
	if !known {
		f.add("listen.tls.minVersion", `%q is neither "1.2" nor "1.3"`, t.MinVersion)
	}
	c := &tls.Config{MinVersion: version, NextProtos: []string{"h2", "http/1.1"}}
	if t.Cert == "" || t.Key == "" {
		f.add("listen.tls", "it needs both cert and key")
	} else if pair, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		f.add("listen.tls", "read cert %s and key %s: %w", t.Cert, t.Key, err)
	} else {
		c.Certificates = []tls.Certificate{pair}
	}
	if t.ClientCA != "" {
		pool, err := readPool(t.ClientCA)
		if err != nil {
			f.add("listen.tls.clientCA", "read %s: %w", t.ClientCA, err)
		}
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readPool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("there is no certificate in PEM")
	}
	return pool, nil
}

// keys are the TLS settings in force. Connections keep those that they began
// with.
type keys struct{ now atomic.Pointer[tls.Config] }

func (k *keys) load(t TLS) error {
	c, err := t.Config()
	if err == nil {
		k.now.Store(c)
	}
	return err
}

// server is the config of a listener that follows each change; nil where it is
// to speak plain HTTP.
func (k *keys) server() *tls.Config {
	if k.now.Load() == nil {
		return nil
	}
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.now.Load(), nil }}
}
