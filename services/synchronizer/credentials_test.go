package synchronizer

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-cd/slipway/services/synchronizer/sync"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/service"
)

func TestKeysOfASecret(t *testing.T) {
	t.Parallel()
	const https, ssh = "https://git.example.com/acme/config.git", "git@git.example.com:acme/config.git"
	const secret = "hunter2-s3cr3t"
	for name, c := range map[string]struct {
		address string
		data    map[string]string
		says    string
	}{
		"basic":                 {https, map[string]string{"username": "u", "password": secret}, ""},
		"token":                 {https, map[string]string{"token": secret + "\n"}, ""},
		"bearer":                {https, map[string]string{"bearerToken": secret}, ""},
		"only a certificate":    {https, map[string]string{"ca.crt": "x"}, ""},
		"ssh":                   {ssh, map[string]string{"identity": secret, "known_hosts": "h", "password": secret}, ""},
		"ssh with a scheme":     {"ssh://git@h/a/b", map[string]string{"identity": secret, "known_hosts": "h"}, ""},
		"nothing":               {https, map[string]string{}, "none of the keys username and password"},
		"something else":        {https, map[string]string{"tls.key": secret}, "none of the keys"},
		"two":                   {https, map[string]string{"token": secret, "username": "u", "password": secret}, "token and password: keep one"},
		"no user":               {https, map[string]string{"password": secret}, "no key username"},
		"a key for https":       {https, map[string]string{"identity": secret, "known_hosts": "h"}, "the repository's address is not ssh://"},
		"ssh without a key":     {ssh, map[string]string{"username": "u", "password": secret}, "no key identity"},
		"ssh without the hosts": {ssh, map[string]string{"identity": secret}, "no key known_hosts"},
	} {
		data := map[string][]byte{}
		for k, v := range c.data {
			data[k] = []byte(v)
		}
		o, err := ownOptions(c.address, data)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if c.says == "" && (strings.Contains(o.Password+o.Bearer, "\n") || (o.SSH != nil) != bySSH(c.address)) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Two tenants name the same repository; who has no good credentials gets
// nothing of what the other's mirror has fetched.
func TestAMirrorIsNotSharedBetweenCredentials(t *testing.T) {
	t.Parallel()
	const password = "pa55"
	s := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, p, _ := r.BasicAuth(); p != password && r.Header.Get("Authorization") != "Bearer "+password {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	head := w.Git("rev-parse", "HEAD")
	w.Git("tag", "v1.0.0")
	if out, err := exec.Command("git", "-C", w.Dir, "push", "-q", w.Bare, "v1.0.0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := mirrorsOf(service.Config{Data: t.TempDir()})
	for name, ref := range map[string]api.Ref{
		"branch": {Kind: api.RefBranch, Value: "main"}, "tag": {Kind: api.RefTag, Value: "v1.0.0"},
		"semver": {Kind: api.RefSemver, Value: "*"}, "commit": {Kind: api.RefCommit, Value: head},
	} {
		own := func(data map[string][]byte) (sync.Commit, error) {
			mirror, err := m.openOwn(t.Context(), sync.Own{Address: w.URL, Ref: ref, Secret: data})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = mirror.Remove() })
			return mirror.Fetch(t.Context(), "")
		}
		for _, good := range []map[string][]byte{{"username": []byte("u"), "password": []byte(password)}, {"token": []byte(password)}, {"bearerToken": []byte(password)}} {
			if c, err := own(good); err != nil || c.Hash() != head {
				t.Errorf("%s: %v, %v", name, c, err)
			}
		}
		for _, bad := range []map[string][]byte{{"token": []byte("wr0ng")}, {"bearerToken": []byte("wr0ng")}, {"ca.crt": nil, "username": []byte("u"), "password": []byte("wr0ng")}} {
			if c, err := own(bad); err == nil || strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("%s: with a wrong password %v, %v", name, c, err)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(m.dir, "*"))
	if err != nil || len(left) != 1 || left[0] != m.own() {
		t.Errorf("mirrors lie in %v", left)
	}
	before, _ := filepath.Glob(filepath.Join(m.own(), "*"))
	if _, err := m.openOwn(t.Context(), sync.Own{Address: "https://u:p4ss@h/a/b", Secret: map[string][]byte{"token": []byte("x")}}); !errors.Is(err, sync.ErrCredentials) || strings.Contains(err.Error(), "p4ss") {
		t.Errorf("an address with a password: %v", err)
	}
	if after, _ := filepath.Glob(filepath.Join(m.own(), "*")); len(after) != len(before) {
		t.Errorf("what couldn't be opened left a folder: %v", after)
	}
	one, err := m.openOwn(t.Context(), sync.Own{Address: w.URL, Ref: api.Ref{Kind: api.RefBranch, Value: "main"}, Secret: map[string][]byte{"token": []byte(password)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Remove(); err != nil {
		t.Fatal(err)
	}
	if after, _ := filepath.Glob(filepath.Join(m.own(), "*")); len(after) != len(before) {
		t.Errorf("what was removed left a folder: %v", after)
	}
}

func TestASecretOpensARepositoryBySSH(t *testing.T) {
	t.Parallel()
	key := func(passphrase string) (private []byte, public ssh.PublicKey) {
		file := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		private, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		public, _, _, _, err = ssh.ParseAuthorizedKey(text)
		if err != nil {
			t.Fatal(err)
		}
		return private, public
	}
	user, public := key("open sesame")
	hostKey, _ := key("")
	host, err := ssh.ParsePrivateKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	s := gitrepotest.Start(t, nil)
	server := s.ServeSSH(public, host)
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	known := knownhosts.Line([]string{server.Addr}, host.PublicKey())
	stranger, other := key("")
	m := mirrorsOf(service.Config{Data: t.TempDir()})
	for name, c := range map[string]struct {
		identity              []byte
		password, known, says string
	}{
		"right":            {user, "open sesame\n", known, ""},
		"wrong passphrase": {user, "wr0ng", known, "the passphrase is wrong"},
		"no passphrase":    {user, "", known, "it is encrypted"},
		"another's key":    {stranger, "", known, "takes none of our SSH keys"},
		"another host":     {user, "open sesame", knownhosts.Line([]string{server.Addr}, other), "is not trusted"},
		"no key at all":    {[]byte("hunter2"), "", known, "not a private key"},
	} {
		mirror, err := m.openOwn(t.Context(), sync.Own{
			Address: "ssh://git@" + server.Addr + w.Bare, Ref: api.Ref{Kind: api.RefBranch, Value: "main"},
			Secret: map[string][]byte{"identity": c.identity, "password": []byte(c.password), "known_hosts": []byte(c.known)},
		})
		if err == nil {
			_, err = mirror.Fetch(t.Context(), "")
		}
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
