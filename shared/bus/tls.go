package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// TLS is how a connection to the bus is encrypted and who proves what. The
// files are PEM, and are read again at each connection: new ones need no
// restart.
type TLS struct {
	// CA has the authorities whose servers are trusted; empty means the
	// system's.
	CA string
	// Cert and Key are our own certificate, by which the server may know us.
	Cert, Key string
}

// Load reads the files, so that what is wrong with them is known before they
// are needed.
func (t TLS) Load() (*x509.CertPool, *tls.Certificate, error) {
	var pool *x509.CertPool
	var own *tls.Certificate
	var all []error
	if t.CA != "" {
		p, err := t.pool()
		pool, all = p, append(all, err)
	}
	switch {
	case (t.Cert == "") != (t.Key == ""):
		all = append(all, errors.New("it needs both cert and key, or neither"))
	case t.Cert != "":
		pair, err := t.pair()
		own, all = &pair, append(all, err)
	}
	return pool, own, errors.Join(all...)
}

func (t TLS) pool() (*x509.CertPool, error) {
	data, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("read the bus's authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read the bus's authorities: %s has no certificate in PEM", t.CA)
	}
	return pool, nil
}

func (t TLS) pair() (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read cert %s and key %s: %w", t.Cert, t.Key, err)
	}
	return pair, nil
}

func (t TLS) option() ([]nats.Option, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	if _, _, err := t.Load(); err != nil {
		return nil, err
	}
	var cert nats.TLSCertHandler
	var roots nats.RootCAsHandler
	if t.Cert != "" {
		cert = t.pair
	}
	if t.CA != "" {
		roots = t.pool
	}
	return []nats.Option{nats.ClientTLSConfig(cert, roots)}, nil
}

// ServerCertificate is the one that the server showed; nil where there is no
// connection, or none that is encrypted.
func (b *Bus) ServerCertificate() *x509.Certificate {
	state, err := b.nc.TLSConnectionState()
	if err != nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// inbox begins the subjects of answers. Tokens hold what a permission can name.
func inbox(o Options) string {
	names := o.Inbox
	if len(names) == 0 {
		names = []string{o.Name}
	}
	tokens := []string{"_INBOX"}
	for _, name := range names {
		if name != "" {
			tokens = append(tokens, strings.Map(plain, name))
		}
	}
	return strings.Join(tokens, ".")
}

// plain keeps what may stand in a token of a subject.
func plain(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
		return r
	}
	return '_'
}
