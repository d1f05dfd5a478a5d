package gitrepo_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func signer(t *testing.T, file string) ssh.Signer {
	t.Helper()
	s, err := ssh.ParsePrivateKey(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sshWork is a repository that is reached by SSH, and what reaches it.
func sshWork(t *testing.T, name string) (*gitrepotest.Work, gitrepo.Options) {
	t.Helper()
	host, user := signer(t, sshKey(t, "", "ed25519")), sshKey(t, "", "ed25519")
	s := gitrepotest.Start(t, nil)
	server := s.ServeSSH(signer(t, user).PublicKey(), host)
	w := s.Create(name, map[string]string{"a.yaml": "a: 1\n", "b/c.yaml": "c: 1\n"})
	return w, gitrepo.Options{
		URL: "ssh://git@" + server.Addr + w.Bare, Branch: "main", Dir: filepath.Join(t.TempDir(), "mirror"),
		SSH: &gitrepo.SSHKey{Key: read(t, user), KnownHosts: []byte(knownhosts.Line([]string{server.Addr}, host.PublicKey()))},
	}
}

func openWith(t *testing.T, o gitrepo.Options) *gitrepo.Mirror {
	t.Helper()
	m, err := gitrepo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestARepositoryIsReachedBySSH(t *testing.T) {
	w, o := sshWork(t, "acme/it's a config!.git")
	first := w.Git("rev-parse", "HEAD")
	for i := range 60 {
		w.Commit(fmt.Sprintf("change %d", i), map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", i+2)})
	}
	m := openWith(t, o)
	base := fetch(t, m)
	made, err := m.Push(t.Context(), base, change(map[string]string{"b/c.yaml": "c: 2\n"}))
	if err != nil {
		t.Fatal(err)
	}
	w.Pull()
	if got := w.Git("rev-parse", "HEAD"); got != made.Hash() {
		t.Fatalf("branch is at %s, want %s", got, made.Hash())
	}
	theirs := w.Commit("a person was faster", map[string]string{"d.yaml": "d: 1\n"})
	if _, err := m.Push(t.Context(), made, change(map[string]string{"a.yaml": "x\n"})); !errors.Is(err, gitrepo.ErrMoved) {
		t.Fatalf("push on a moved branch: %v, want ErrMoved", err)
	}
	head := fetch(t, m)
	if head.Hash() != theirs {
		t.Fatalf("head is %s, want %s", head.Hash(), theirs)
	}
	if commits, err := m.Between(t.Context(), first, theirs); err != nil || len(commits) != 62 {
		t.Fatalf("history has %d commits, %v, want 62", len(commits), err)
	}
	if data, err := fs.ReadFile(head.FS(), "b/c.yaml"); err != nil || string(data) != "c: 2\n" {
		t.Fatalf("b/c.yaml is %q, %v", data, err)
	}
	w.Git("checkout", "-q", "-B", "main", first)
	forced := w.Git("commit-tree", "-p", first, "-m", "forced", first+"^{tree}")
	w.Git("push", "-q", "-f", "origin", forced+":main")
	if got := fetch(t, m).Hash(); got != forced {
		t.Fatalf("after a forced push the head is %s, want %s", got, forced)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(o.Dir), "known-hosts-*"))
	if err != nil || len(left) != 0 {
		t.Fatalf("files are left: %v, %v", left, err)
	}
}

func TestARefusalBySSHCarriesTheHostsWords(t *testing.T) {
	w, o := sshWork(t, "acme/config.git")
	m := openWith(t, o)
	base := fetch(t, m)
	hook := filepath.Join(w.Bare, "hooks", "pre-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'branch is protected: ask maria' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := m.Push(t.Context(), base, change(map[string]string{"a.yaml": "a: 2\n"}))
	if !errors.Is(err, gitrepo.ErrRefused) || !strings.Contains(err.Error(), "ask maria") {
		t.Fatalf("push refused by a hook: %v, want ErrRefused with the hook's words", err)
	}
	o.URL += "-gone"
	if _, err := openWith(t, o).Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Fatalf("a repository that isn't there: %v, want the host's words", err)
	}
	empty := filepath.Join(filepath.Dir(w.Bare), "empty.git")
	run(t, "", "git", "init", "-q", "--bare", empty)
	o.URL = strings.TrimSuffix(o.URL, w.Bare+"-gone") + empty
	if _, err := openWith(t, o).Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoBranch) {
		t.Fatalf("an empty repository: %v, want ErrNoBranch", err)
	}
}

func TestOnlyAKnownHostIsTrusted(t *testing.T) {
	ed, ec, rsa := signer(t, sshKey(t, "", "ed25519")), signer(t, sshKey(t, "", "ecdsa")), signer(t, sshKey(t, "", "rsa", "-b", "2048"))
	other := signer(t, sshKey(t, "", "ed25519")).PublicKey()
	user, locked, stranger := sshKey(t, "", "ed25519"), sshKey(t, "open sesame", "rsa", "-b", "2048"), sshKey(t, "", "ed25519")
	s := gitrepotest.Start(t, nil)
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	all := s.ServeSSH(signer(t, user).PublicKey(), ec, ed, rsa)
	pub, _, _, _, err := ssh.ParseAuthorizedKey(read(t, locked+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	one := s.ServeSSH(pub, ec)
	line := func(addr string, key ssh.PublicKey) string { return knownhosts.Line([]string{addr}, key) }
	hashed := knownhosts.HashHostname(knownhosts.Normalize(all.Addr)) + " " + strings.SplitN(line("x", ed.PublicKey()), " ", 2)[1]
	for name, c := range map[string]struct {
		server *gitrepotest.SSH
		known  string
		key    string
		pass   string
		want   error
		tell   string
	}{
		"known":                    {all, line(all.Addr, ed.PublicKey()), user, "", nil, ""},
		"known by its second key":  {all, line(all.Addr, rsa.PublicKey()), user, "", nil, ""},
		"known by a hash":          {all, hashed, user, "", nil, ""},
		"one of several lines":     {all, "# ours\n" + line(all.Addr, other) + "\n" + line(all.Addr, ec.PublicKey()), user, "", nil, ""},
		"encrypted key":            {one, line(one.Addr, ec.PublicKey()), locked, "open sesame", nil, ""},
		"unknown":                  {all, line("git.example.com", ed.PublicKey()), user, "", gitrepo.ErrHostKey, "ssh-keyscan -p " + strings.Split(all.Addr, ":")[1] + " 127.0.0.1"},
		"changed":                  {all, line(all.Addr, other), user, "", gitrepo.ErrHostKey, "line 1 of the known hosts"},
		"no key of a known kind":   {one, line(one.Addr, other), locked, "open sesame", gitrepo.ErrHostKey, "no key of a kind"},
		"revoked":                  {all, "@revoked * " + strings.SplitN(line("x", ed.PublicKey()), " ", 2)[1] + "\n" + line(all.Addr, ed.PublicKey()), user, "", gitrepo.ErrHostKey, "line 1 of the known hosts revokes"},
		"key that isn't taken":     {all, line(all.Addr, ed.PublicKey()), stranger, "", gitrepo.ErrUnauthorized, "takes none of our SSH keys"},
		"the other server's lines": {one, line(all.Addr, ec.PublicKey()), locked, "open sesame", gitrepo.ErrHostKey, "not in the known hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			m := openWith(t, gitrepo.Options{
				URL: "ssh://" + c.server.Addr + w.Bare, Branch: "main", Dir: filepath.Join(t.TempDir(), "m"),
				SSH: &gitrepo.SSHKey{Key: read(t, c.key), Passphrase: []byte(c.pass), KnownHosts: []byte(c.known)},
			})
			_, err := m.Fetch(t.Context())
			if !errors.Is(err, c.want) || (err != nil && !strings.Contains(err.Error(), c.tell)) {
				t.Fatalf("fetch: %v, want %v with %q", err, c.want, c.tell)
			}
		})
	}
}

func TestAnSSHAddressThatCannotWorkIsRefusedAtOnce(t *testing.T) {
	key := read(t, sshKey(t, "", "ed25519"))
	known := []byte(knownhosts.Line([]string{"git.example.com"}, signer(t, sshKey(t, "", "ed25519")).PublicKey()))
	for name, c := range map[string]struct {
		o    gitrepo.Options
		want string
	}{
		"no key":         {gitrepo.Options{URL: "git@git.example.com:acme/config.git"}, "needs credentials with an SSH key"},
		"no known hosts": {gitrepo.Options{URL: "git@git.example.com:acme/config.git", SSH: &gitrepo.SSHKey{Key: key}}, "ssh-keyscan -p 22 git.example.com"},
		"bad line":       {gitrepo.Options{URL: "ssh://git.example.com/acme", SSH: &gitrepo.SSHKey{Key: key, KnownHosts: append(known, "\nnonsense"...)}}, "read known hosts: line 2"},
		"public key":     {gitrepo.Options{URL: "ssh://git.example.com/acme", SSH: &gitrepo.SSHKey{Key: []byte("ssh-ed25519 AAAA"), KnownHosts: known}}, "it is a public key"},
		"password":       {gitrepo.Options{URL: "ssh://git.example.com/acme", Password: "pa55", SSH: &gitrepo.SSHKey{Key: key, KnownHosts: known}}, "for https:// addresses"},
		"in the address": {gitrepo.Options{URL: "ssh://git:pa55@git.example.com/acme", SSH: &gitrepo.SSHKey{Key: key, KnownHosts: known}}, "credentials belong in"},
		"key for https":  {gitrepo.Options{URL: "https://git.example.com/acme", SSH: &gitrepo.SSHKey{Key: key}}, "is for ssh:// addresses"},
		"other scheme":   {gitrepo.Options{URL: "file:///etc", SSH: &gitrepo.SSHKey{Key: key}}, "must be https://"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Branch, c.o.Dir = "main", filepath.Join(t.TempDir(), "m")
			_, err := gitrepo.Open(t.Context(), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pa55") {
				t.Fatalf("open: %v, want %q", err, c.want)
			}
		})
	}
}

func TestASilentHostDoesNotHoldUsForever(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, o := sshWork(t, "acme/config.git")
	o.URL = "ssh://git@" + l.Addr().String() + "/acme/config.git"
	o.Timeout = 50 * time.Millisecond
	if _, err := openWith(t, o).Fetch(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("fetch: %v, want the deadline", err)
	}
}
