package plane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 10 * 365 * 24 * time.Hour

// pki is the folder of certificates and keys. What is there is kept, so that a
// cluster that starts again is trusted by those who knew it.
type pki struct{ dir string }

func (p pki) crt(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p pki) key(name string) string { return filepath.Join(p.dir, name+".key") }

// make writes whatever is missing.
func (p pki) make() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the certificates' folder: %w", err)
	}
	if err := p.pair("ca", &x509.Certificate{
		Subject:               pkix.Name{CommonName: "slipway-e2e-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}); err != nil {
		return err
	}
	if err := p.pair("apiserver", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "cluster", "host.docker.internal"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)},
	}); err != nil {
		return err
	}
	for _, client := range []string{"admin", "kube-controller-manager", "kube-scheduler", "kubelet"} {
		if err := p.pair(client, &x509.Certificate{
			Subject:     pkix.Name{CommonName: "system:" + client, Organization: []string{"system:masters"}},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}); err != nil {
			return err
		}
	}
	_, err := p.signer("service-account")
	return err
}

// pair makes a certificate and its key, signed by "ca" (which signs itself).
func (p pki) pair(name string, template *x509.Certificate) error {
	if _, err := os.Stat(p.crt(name)); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for certificate %s: %w", name, err)
	}
	key, err := p.signer(name)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("draw a serial for %s: %w", name, err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(lifetime)
	parent, signer := template, key
	if name != "ca" {
		if parent, err = p.certificate("ca"); err != nil {
			return err
		}
		if signer, err = p.signer("ca"); err != nil {
			return err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("sign certificate %s: %w", name, err)
	}
	return write(p.crt(name), "CERTIFICATE", der)
}

// signer reads a private key, and makes it first where there is none.
func (p pki) signer(name string) (crypto.Signer, error) {
	text, err := os.ReadFile(p.key(name))
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make key %s: %w", name, err)
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("encode key %s: %w", name, err)
		}
		return key, write(p.key(name), "EC PRIVATE KEY", der)
	}
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read key %s: no PEM in it", name)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return key, nil
}

func (p pki) certificate(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(p.crt(name))
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", name, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read certificate %s: no PEM in it", name)
	}
	return x509.ParseCertificate(block.Bytes)
}

func write(path, kind string, der []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
