package gitrepo

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// Signer signs commits. Sign gives the armored signature of a commit's bytes
// as it stands in the commit.
type Signer interface {
	Sign(message []byte) (string, error)
}

// NewSSHSigner signs as `git commit -S` with gpg.format=ssh. The key is
// ed25519, ECDSA or RSA, in OpenSSH's or PEM form; passphrase is empty for a
// plain key. Errors say what is wrong with the key and tell nothing of it.
func NewSSHSigner(key, passphrase []byte) (Signer, error) {
	s, err := parseKey(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read SSH signing key: %w", err)
	}
	return sshSigner{s}, nil
}

type sshSigner struct{ key ssh.Signer }

// sshNamespace keeps a signature of a commit from being taken for one of
// something else.
const sshNamespace = "git"

// Sign makes an SSHSIG, version 1.
func (s sshSigner) Sign(message []byte) (string, error) {
	digest := sha512.Sum512(message)
	signed := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{sshNamespace, "", "sha512", digest[:]})...)
	algorithm := ""
	if s.key.PublicKey().Type() == ssh.KeyAlgoRSA {
		algorithm = ssh.KeyAlgoRSASHA512 // SHA-1, RSA's default, is not taken
	}
	with, ok := s.key.(ssh.AlgorithmSigner)
	if !ok {
		return "", errors.New("sign commit: the SSH key can't choose its algorithm")
	}
	signature, err := with.SignWithAlgorithm(rand.Reader, signed, algorithm)
	if err != nil {
		return "", fmt.Errorf("sign commit: %w", err)
	}
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, s.key.PublicKey().Marshal(), sshNamespace, "", "sha512", ssh.Marshal(signature)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}

// parseKey reads a private SSH key.
func parseKey(key, passphrase []byte) (ssh.Signer, error) {
	s, err := ssh.ParsePrivateKey(key)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		if len(passphrase) == 0 {
			return nil, errors.New("it is encrypted: name its passphrase")
		}
		s, err = ssh.ParsePrivateKeyWithPassphrase(key, passphrase)
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, errors.New("the passphrase is wrong")
		}
	}
	if err != nil {
		return nil, errors.New(whatKey(key))
	}
	if s.PublicKey().Type() == "ssh-dss" {
		return nil, errors.New("it is a DSA key, which nobody takes any more: make one by `ssh-keygen -t ed25519`")
	}
	return s, nil
}

// whatKey says what was given instead of a private SSH key.
func whatKey(key []byte) string {
	text := strings.TrimSpace(string(key))
	switch {
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-"), strings.HasPrefix(text, "sk-"),
		strings.HasPrefix(text, "-----BEGIN PUBLIC KEY"), strings.HasPrefix(text, "-----BEGIN SSH2 PUBLIC KEY"):
		return "it is a public key: give the private one, the file without .pub"
	case strings.HasPrefix(text, "-----BEGIN PGP"):
		return "it is an OpenPGP key, not an SSH key"
	case strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return "it is in PuTTY's form: convert it by `puttygen KEY -O private-openssh`"
	case strings.HasPrefix(text, "-----BEGIN ENCRYPTED PRIVATE KEY"):
		return "it is encrypted in the form PKCS #8, which isn't read: write it anew by `ssh-keygen -p -f KEY`"
	case strings.HasPrefix(text, "-----BEGIN CERTIFICATE"):
		return "it is a certificate, not a private key"
	}
	return "it is not a private key of kind ed25519, ECDSA or RSA in OpenSSH's or PEM form"
}

// NewOpenPGPSigner signs as `git commit -S` does by gpg. The key is what
// `gpg --export-secret-keys` (or its subkeys alone) writes, armored or not;
// passphrase is empty for a plain key. Errors say what is wrong with the key
// and tell nothing of it.
func NewOpenPGPSigner(key, passphrase []byte) (Signer, error) {
	e, err := parseOpenPGP(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read OpenPGP signing key: %w", err)
	}
	return &pgpSigner{e}, nil
}

type pgpSigner struct{ key *openpgp.Entity }

// Sign makes an armored detached signature.
func (s *pgpSigner) Sign(message []byte) (string, error) {
	if err := canSign(s.key); err != nil {
		return "", fmt.Errorf("sign commit: %w", err)
	}
	var out strings.Builder
	if err := openpgp.ArmoredDetachSign(&out, s.key, bytes.NewReader(message), &packet.Config{}); err != nil {
		return "", fmt.Errorf("sign commit: %w", err)
	}
	return out.String() + "\n", nil
}

func parseOpenPGP(key, passphrase []byte) (*openpgp.Entity, error) {
	read := openpgp.ReadKeyRing
	if bytes.Contains(key, []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	ring, err := read(bytes.NewReader(key))
	switch {
	case bytes.Contains(key, []byte("PRIVATE KEY-----")) && !bytes.Contains(key, []byte("PGP")):
		return nil, errors.New("it is not an OpenPGP key; an SSH key belongs under ssh")
	case err != nil:
		return nil, errors.New("it is not what `gpg --export-secret-keys` writes")
	case len(ring) != 1:
		return nil, fmt.Errorf("there are %d keys; export the one that signs", len(ring))
	case ring[0].PrivateKey == nil:
		return nil, errors.New("it is a public key: export the secret one by `gpg --export-secret-keys`")
	}
	if locked(ring[0]) {
		if len(passphrase) == 0 {
			return nil, errors.New("it is encrypted: name its passphrase")
		}
		if err := ring[0].DecryptPrivateKeys(passphrase); err != nil {
			return nil, errors.New("the passphrase is wrong")
		}
	}
	return ring[0], canSign(ring[0])
}

func locked(e *openpgp.Entity) bool {
	if e.PrivateKey.Encrypted {
		return true
	}
	for _, sub := range e.Subkeys {
		if sub.PrivateKey != nil && sub.PrivateKey.Encrypted {
			return true
		}
	}
	return false
}

func canSign(e *openpgp.Entity) error {
	key, ok := e.SigningKey(time.Now())
	if !ok || key.PrivateKey == nil || key.PrivateKey.Dummy() {
		return errors.New("no part of the OpenPGP key may sign now: it is expired, revoked, without its secret, or not for signing")
	}
	return nil
}
