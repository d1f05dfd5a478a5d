package gitrepo

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"golang.org/x/crypto/ssh"
)

// pgpTrust are OpenPGP keys.
type pgpTrust openpgp.EntityList

// maxBlocks bounds how many armored blocks are read of one text.
const maxBlocks = 100

// add reads armored public keys, one or several.
func (p *pgpTrust) add(text []byte) error {
	const begin = "-----BEGIN PGP"
	parts := strings.Split(string(text), begin)
	if len(parts) > maxBlocks {
		return fmt.Errorf("there are more than %d OpenPGP blocks", maxBlocks)
	}
	for _, part := range parts[1:] {
		block, err := armor.Decode(strings.NewReader(begin + part))
		if err != nil || block.Type != openpgp.PublicKeyType {
			return errors.New("it is not what `gpg --armor --export` writes")
		}
		ring, err := openpgp.ReadKeyRing(block.Body)
		if err != nil || len(ring) == 0 {
			return errors.New("no OpenPGP key in it can be read")
		}
		*p = append(*p, ring...)
	}
	return nil
}

// strong are the hashes that a signature may be over: of SHA-1 and older ones
// two messages may have the same.
var strong = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA224, crypto.SHA3_256, crypto.SHA3_512}

func (k *keyring) verifyPGP(message []byte, signature string) error {
	block, err := armor.Decode(strings.NewReader(signature))
	if err != nil {
		return errors.New("its OpenPGP signature can't be read")
	}
	body, err := io.ReadAll(io.LimitReader(block.Body, 1<<20))
	if err != nil {
		return errors.New("its OpenPGP signature can't be read")
	}
	_, err = openpgp.CheckDetachedSignatureAndHash(openpgp.EntityList(k.pgp), bytes.NewReader(message), bytes.NewReader(body), strong, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return errors.New("it is signed by an OpenPGP key that is none of those given")
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return errors.New("the OpenPGP key that signed it has expired")
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return errors.New("the OpenPGP key that signed it is revoked")
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return errors.New("its OpenPGP signature has expired")
	}
	return fmt.Errorf("its OpenPGP signature is bad: %w", err)
}

// sshTrust is one SSH key, and when it may sign.
type sshTrust struct {
	key           ssh.PublicKey
	after, before int64 // seconds; 0 for no bound
}

// addSSH reads lines of authorized_keys or ALLOWED SIGNERS (ssh-keygen(1)).
func (k *keyring) addSSH(text string) error {
	found := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		trust, use, err := parseSSHLine(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		found = true
		if use {
			k.ssh = append(k.ssh, trust)
		}
	}
	if !found {
		return errors.New("there is neither an OpenPGP nor an SSH key")
	}
	return nil
}

// parseSSHLine reads one line. Use is false for a key that may sign other
// things than Git's.
func parseSSHLine(line string) (t sshTrust, use bool, err error) {
	fields := quotedFields(line)
	at := -1
	for i := 0; i+1 < len(fields) && i < 3; i++ { // principals and options come before
		if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(fields[i] + " " + fields[i+1])); err == nil {
			at, t.key = i, key
			break
		}
	}
	if at < 0 {
		return t, false, errors.New("it has no SSH public key, such as `ssh-ed25519 AAAA…`")
	}
	if _, certificate := t.key.(*ssh.Certificate); certificate {
		return t, false, errors.New("it is a certificate: give the public key itself")
	}
	use = true
	for _, options := range fields[:at] {
		for _, option := range splitQuoted(options, ',') {
			name, value, _ := strings.Cut(option, "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "cert-authority":
				return t, false, errors.New("authorities of certificates are not supported: give the public keys themselves")
			case "namespaces":
				use = matchesList(value, sshNamespace)
			case "valid-after":
				t.after, err = sshTime(value)
			case "valid-before", "expiry-time":
				t.before, err = sshTime(value)
			}
			if err != nil {
				return t, false, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return t, use, nil
}

// quotedFields are the words of a line; a space in quotes is none between
// words.
func quotedFields(line string) []string {
	var fields []string
	for _, f := range splitQuoted(strings.ReplaceAll(line, "\t", " "), ' ') {
		if f != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

func splitQuoted(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// matchesList says whether a name fits a list of patterns with * and ?, where
// ! before one refuses (ssh_config(5)).
func matchesList(list, name string) bool {
	found := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, not := strings.CutPrefix(pattern, "!")
		if matches(pattern, name) {
			if not {
				return false
			}
			found = true
		}
	}
	return found
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		return matches(pattern[1:], name) || name != "" && matches(pattern, name[1:])
	}
	return name != "" && (pattern[0] == '?' || pattern[0] == name[0]) && matches(pattern[1:], name[1:])
}

// sshTime reads YYYYMMDD or YYYYMMDDHHMM[SS], with a Z for UTC.
func sshTime(text string) (int64, error) {
	digits, utc := strings.CutSuffix(text, "Z")
	form, known := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(digits)]
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	at, err := time.ParseInLocation(form, digits, zone)
	if !known || err != nil {
		return 0, fmt.Errorf("%q is not a time such as 20261231 or 202612312359Z", text)
	}
	return at.Unix(), nil
}

// verifySSH holds an SSHSIG of version 1 (OpenSSH's PROTOCOL.sshsig).
func (k *keyring) verifySSH(message, blob []byte, at int64) error {
	var sig struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}
	rest, ok := bytes.CutPrefix(blob, []byte("SSHSIG"))
	if !ok || ssh.Unmarshal(rest, &sig) != nil || sig.Version != 1 {
		return errors.New("its SSH signature can't be read")
	}
	if sig.Namespace != sshNamespace {
		return fmt.Errorf("its SSH signature is of the namespace %q, not of Git's", sig.Namespace)
	}
	key, err := ssh.ParsePublicKey(sig.Key)
	if err != nil {
		return errors.New("its SSH signature has no key that can be read")
	}
	if err := k.trusts(key, at); err != nil {
		return err
	}
	var digest []byte
	switch sig.Hash {
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	default:
		return fmt.Errorf("its SSH signature is over the hash %q", sig.Hash)
	}
	var s ssh.Signature
	if ssh.Unmarshal(sig.Signature, &s) != nil {
		return errors.New("its SSH signature can't be read")
	}
	if s.Format == ssh.KeyAlgoRSA {
		return errors.New("its SSH signature is over SHA-1, which is not taken")
	}
	signed := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{sig.Namespace, sig.Reserved, sig.Hash, digest})...)
	if key.Verify(signed, &s) != nil {
		return errors.New("its SSH signature is not over what it stands in: somebody has changed it")
	}
	return nil
}

// trusts says whether a key is one of those given, and was at a time.
func (k *keyring) trusts(key ssh.PublicKey, at int64) error {
	known := false
	for _, t := range k.ssh {
		if !bytes.Equal(t.key.Marshal(), key.Marshal()) {
			continue
		}
		known = true
		if (t.after == 0 || at >= t.after) && (t.before == 0 || at < t.before) {
			return nil
		}
	}
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	if known {
		return fmt.Errorf("it is signed by the SSH key %s, which was not valid when it says it was made", shown)
	}
	return fmt.Errorf("it is signed by the SSH key %s, which is none of those given", shown)
}
