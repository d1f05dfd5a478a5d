package gitrepo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sshKey makes a key by ssh-keygen and gives its file.
func sshKey(t *testing.T, passphrase string, kind ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	run(t, "", "ssh-keygen", append([]string{"-q", "-N", passphrase, "-C", "slipway", "-f", file, "-t"}, kind...)...)
	return file
}

// pushSigned pushes a signed commit and gives the clone that has it.
func pushSigned(t *testing.T, s gitrepo.Signer) *gitrepotest.Work {
	t.Helper()
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	c := change(map[string]string{"a.yaml": "a: 2\n"})
	c.Message = "web: 1.4.2\n\nBecause of a tag, with ümläuts.\n\nSlipway-Chain: abc\n"
	c.Signer = s
	if _, err := m.Push(t.Context(), fetch(t, m), c); err != nil {
		t.Fatal(err)
	}
	w.Pull()
	w.Git("fsck", "--strict")
	return w
}

func TestGitVerifiesCommitsSignedBySSH(t *testing.T) {
	for name, c := range map[string]struct {
		kind []string
		pass string
	}{
		"ed25519":   {[]string{"ed25519"}, ""},
		"ecdsa-256": {[]string{"ecdsa", "-b", "256"}, ""},
		"ecdsa-521": {[]string{"ecdsa", "-b", "521"}, ""},
		"rsa":       {[]string{"rsa", "-b", "3072"}, ""},
		"rsa-pem":   {[]string{"rsa", "-b", "2048", "-m", "PEM"}, ""},
		"encrypted": {[]string{"ed25519"}, "open sesame"},
		"old-pem":   {[]string{"ecdsa", "-m", "PEM"}, "open sesame"},
	} {
		t.Run(name, func(t *testing.T) {
			file := sshKey(t, c.pass, c.kind...)
			s, err := gitrepo.NewSSHSigner(read(t, file), []byte(c.pass))
			if err != nil {
				t.Fatal(err)
			}
			w := pushSigned(t, s)
			allowed := filepath.Join(t.TempDir(), "allowed")
			line := fmt.Sprintf("s@example.com namespaces=\"git\" %s", read(t, file+".pub"))
			if err := os.WriteFile(allowed, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			w.Git("config", "gpg.format", "ssh")
			w.Git("config", "gpg.ssh.allowedSignersFile", allowed)
			if out := w.Git("verify-commit", "HEAD"); !strings.Contains(out, `Good "git" signature for s@example.com`) {
				t.Fatalf("git verify-commit says:\n%s", out)
			}
			// The test could not fail if git took anything: it doesn't take
			// the same signature over another message.
			raw := strings.Replace(w.Git("cat-file", "commit", "HEAD"), "1.4.2", "1.4.3", 1)
			forged := strings.TrimSpace(run(t, raw, "git", "-C", w.Dir, "hash-object", "-t", "commit", "-w", "--stdin"))
			if err := exec.Command("git", "-C", w.Dir, "verify-commit", forged).Run(); err == nil {
				t.Fatal("git takes the signature over a changed commit")
			}
		})
	}
}

// pgpHome is a gpg of the test's own. Its folder's name is short, since the
// agent's socket lies in it.
func pgpHome(t *testing.T) func(stdin string, args ...string) string {
	t.Helper()
	home, err := os.MkdirTemp("", "gpg") //nolint:usetesting // its folder's name is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	t.Setenv("GNUPGHOME", home)
	return func(stdin string, args ...string) string {
		return run(t, stdin, "gpg", append([]string{"--batch", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
	}
}

func TestGitVerifiesCommitsSignedByOpenPGP(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm, pass string
		export          []string
	}{
		"ed25519":   {"ed25519", "", []string{"--armor", "--export-secret-keys"}},
		"rsa":       {"rsa2048", "", []string{"--export-secret-keys"}},
		"encrypted": {"ed25519", "open sesame", []string{"--armor", "--export-secret-keys"}},
		"subkey":    {"rsa2048", "open sesame", []string{"--armor", "--export-secret-subkeys"}},
	} {
		t.Run(name, func(t *testing.T) {
			gpg := pgpHome(t)
			gpg("", "--passphrase", c.pass, "--quick-generate-key", "Slipway <s@example.com>", c.algorithm, "sign", "never")
			if name == "subkey" {
				fingerprint := strings.Split(gpg("", "--with-colons", "--list-keys"), "fpr:::::::::")[1]
				fingerprint, _, _ = strings.Cut(fingerprint, ":")
				gpg("", "--passphrase", c.pass, "--quick-add-key", fingerprint, c.algorithm, "sign", "never")
			}
			key := gpg("", append([]string{"--passphrase", c.pass}, c.export...)...)
			s, err := gitrepo.NewOpenPGPSigner([]byte(key), []byte(c.pass))
			if err != nil {
				t.Fatal(err)
			}
			w := pushSigned(t, s)
			if out := w.Git("verify-commit", "HEAD"); !strings.Contains(out, `Good signature from "Slipway <s@example.com>"`) {
				t.Fatalf("git verify-commit says:\n%s", out)
			}
		})
	}
}

func TestAKeyThatCannotSignIsSaidClearly(t *testing.T) {
	plain, locked := sshKey(t, "", "ed25519"), sshKey(t, "open sesame", "ed25519")
	gpg := pgpHome(t)
	gpg("", "--passphrase", "open sesame", "--quick-generate-key", "Slipway <s@example.com>", "ed25519", "sign", "never")
	secret := gpg("", "--passphrase", "open sesame", "--armor", "--export-secret-keys")
	public := gpg("", "--armor", "--export")
	gpg("", "--passphrase", "", "--quick-generate-key", "Old <old@example.com>", "ed25519", "sign", "seconds=1")
	expired := func() string {
		key := gpg("", "--armor", "--export-secret-keys", "old@example.com")
		for { // until gpg, too, says that it is over
			if strings.Contains(gpg("", "--with-colons", "--list-keys", "old@example.com"), "pub:e:") {
				return key
			}
		}
	}()
	for name, c := range map[string]struct {
		make       func(key, passphrase []byte) (gitrepo.Signer, error)
		key, pass  string
		want, tell string
	}{
		"ssh public":        {gitrepo.NewSSHSigner, string(read(t, plain+".pub")), "", "it is a public key", "AAAA"},
		"ssh locked":        {gitrepo.NewSSHSigner, string(read(t, locked)), "", "name its passphrase", "BEGIN"},
		"ssh wrong pass":    {gitrepo.NewSSHSigner, string(read(t, locked)), "wr0ng", "the passphrase is wrong", "wr0ng"},
		"ssh is pgp":        {gitrepo.NewSSHSigner, secret, "", "OpenPGP key, not an SSH key", "BEGIN"},
		"ssh nonsense":      {gitrepo.NewSSHSigner, "hunter2", "", "not a private key", "hunter2"},
		"ssh cut":           {gitrepo.NewSSHSigner, string(read(t, plain)[:120]), "", "not a private key", "BEGIN"},
		"ssh empty":         {gitrepo.NewSSHSigner, "", "", "not a private key", "nil"},
		"openpgp public":    {gitrepo.NewOpenPGPSigner, public, "", "export the secret one", "BEGIN"},
		"openpgp locked":    {gitrepo.NewOpenPGPSigner, secret, "", "name its passphrase", "BEGIN"},
		"openpgp wrong":     {gitrepo.NewOpenPGPSigner, secret, "wr0ng", "the passphrase is wrong", "wr0ng"},
		"openpgp is ssh":    {gitrepo.NewOpenPGPSigner, string(read(t, plain)), "", "SSH key belongs under ssh", "BEGIN"},
		"openpgp nonsense":  {gitrepo.NewOpenPGPSigner, "hunter2", "", "gpg --export-secret-keys", "hunter2"},
		"openpgp two":       {gitrepo.NewOpenPGPSigner, gpg("", "--passphrase", "open sesame", "--armor", "--export-secret-keys"), "open sesame", "there are 2 keys", "BEGIN"},
		"openpgp is over":   {gitrepo.NewOpenPGPSigner, expired, "", "expired", "BEGIN"},
		"openpgp cut short": {gitrepo.NewOpenPGPSigner, secret[:300], "", "gpg --export-secret-keys", "BEGIN"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.make([]byte(c.key), []byte(c.pass))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the key gives %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), c.tell) {
				t.Fatalf("the error tells of the key: %v", err)
			}
		})
	}
}

func FuzzAKeyIsReadOrRefused(f *testing.F) {
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"), []byte("x"))
	f.Add([]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlFgE\n-----END PGP PRIVATE KEY BLOCK-----\n"), []byte(""))
	f.Fuzz(func(t *testing.T, key, passphrase []byte) {
		for _, read := range []func(key, passphrase []byte) (gitrepo.Signer, error){gitrepo.NewSSHSigner, gitrepo.NewOpenPGPSigner} {
			if s, err := read(key, passphrase); (s == nil) != (err != nil) {
				t.Fatalf("got %v and %v", s, err)
			}
		}
	})
}
