package gitrepo

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// ErrHostKey says that a Git host did not prove by its SSH key that it is the
// one in the known hosts.
var ErrHostKey = errors.New("the Git host's SSH key is not trusted")

// knownHosts tells whether a host is who it says.
type knownHosts struct {
	check ssh.HostKeyCallback
	// algorithms are what the host is asked to prove itself by: a host has
	// several keys, and shows the one that is asked for first.
	algorithms []string
}

// newKnownHosts reads the text of a known_hosts file. The library reads only
// files, so that it lies in dir for that moment.
func newKnownHosts(text []byte, dir, addr string) (*knownHosts, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("no known hosts are given, and no host is trusted without: %s", howToKnow(addr))
	}
	file, err := writeTemp(dir, text)
	if file != "" {
		defer os.Remove(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	check, err := knownhosts.New(file)
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), file+":")
		return nil, fmt.Errorf("read known hosts: line %s", why)
	}
	k := &knownHosts{check: check}
	// With an authority any kind of certificate will do.
	if !bytes.Contains(text, []byte("@cert-authority")) {
		k.algorithms = k.kinds(addr)
	}
	return k, nil
}

// kinds are the algorithms of the keys that are known of a host, none where
// none is.
func (k *knownHosts) kinds(addr string) []string {
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var known *knownhosts.KeyError
	if !errors.As(k.check(addr, &net.TCPAddr{IP: net.IPv4zero}, nobody), &known) {
		return nil
	}
	var kinds []string
	for _, key := range known.Want {
		kind := key.Key.Type()
		if kind == ssh.KeyAlgoRSA { // the key's name; SHA-1 itself is not taken
			kinds = append(kinds, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func (k *knownHosts) verify(addr string, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(addr, remote, key)
	if err == nil {
		return nil
	}
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	var revoked *knownhosts.RevokedError
	var other *knownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("%w: %s shows %s, which line %d of the known hosts revokes", ErrHostKey, addr, shown, revoked.Revoked.Line)
	case errors.As(err, &other) && len(other.Want) > 0:
		return fmt.Errorf("%w: %s shows %s, not the key in line %d of the known hosts: it was set up anew, or somebody stands between; if its owner confirms the new key, %s",
			ErrHostKey, addr, shown, other.Want[0].Line, howToKnow(addr))
	case errors.As(err, &other):
		return fmt.Errorf("%w: %s shows %s and is not in the known hosts; %s", ErrHostKey, addr, shown, howToKnow(addr))
	}
	return fmt.Errorf("%w: %s shows %s: %w", ErrHostKey, addr, shown, err)
}

// howToKnow says where the lines of a host come from.
func howToKnow(addr string) string {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		name, port = addr, "22"
	}
	return fmt.Sprintf("get its lines by `ssh-keyscan -p %s %s`, compare them with the fingerprints that the host publishes, and add them", port, name)
}
