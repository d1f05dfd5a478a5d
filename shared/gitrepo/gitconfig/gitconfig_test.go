package gitconfig_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/service"
)

func key(t *testing.T, passphrase string) (file string, public ssh.PublicKey) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err = ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return file, public
}

// What the config says is what a mirror does: it signs in by the key of the
// prefix, and its commits are signed.
func TestAMirrorOfTheConfigSignsInAndSigns(t *testing.T) {
	user, public := key(t, "open sesame")
	hostFile, _ := key(t, "")
	hostText, err := os.ReadFile(hostFile)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.ParsePrivateKey(hostText)
	if err != nil {
		t.Fatal(err)
	}
	s := gitrepotest.Start(t, nil)
	server := s.ServeSSH(public, host)
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	t.Setenv("PASSPHRASE", "open sesame")
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	text := `
bus: {url: "nats://nats:4222"}
credentials:
- prefix: ssh://` + server.Addr + `
  ssh: {key: {file: ` + user + `}, passphrase: {env: PASSPHRASE}, knownHosts: "` + knownhosts.Line([]string{server.Addr}, host.PublicKey()) + `"}
repositories:
- {url: "ssh://git@` + server.Addr + w.Bare + `"}
automator: {commit: {sign: {ssh: {file: ` + user + `}, passphrase: {env: PASSPHRASE}}}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	o, err := gitconfig.Options(cfg, cfg.Repositories[0])
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(t.TempDir(), "mirror")
	m, err := gitrepo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	head, err := m.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gitconfig.Signer(cfg.Automator.Commit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Push(t.Context(), head, gitrepo.Change{
		Files: map[string][]byte{"a.yaml": []byte("a: 2\n")}, Message: "x\n", Name: "Slipway", Email: "s@example.com", Signer: signer,
	}); err != nil {
		t.Fatal(err)
	}
	w.Pull()
	if raw := w.Git("cat-file", "commit", "HEAD"); !strings.Contains(raw, "gpgsig -----BEGIN SSH SIGNATURE-----") {
		t.Fatalf("the commit is not signed:\n%s", raw)
	}
}

func TestASecretThatIsMissingIsNamed(t *testing.T) {
	none := &service.Secret{File: "/none/at/all"}
	for want, c := range map[string]service.Credentials{
		"credentials: read secret":                {Token: none},
		"credentials.ssh: key: read secret":       {SSH: &service.SSH{Key: none}},
		"credentials.githubApp: privateKey: read": {GitHubApp: &service.GitHubApp{AppID: "1", InstallationID: "2", PrivateKey: none}},
	} {
		_, err := gitconfig.Options(service.Config{}, service.Repository{URL: "https://git.example.com/a", Credentials: c})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/none/at/all") {
			t.Errorf("got %v, want %q and the file", err, want)
		}
	}
	if _, err := gitconfig.Signer(service.Commit{Sign: &service.Sign{OpenPGP: none}}); err == nil || !strings.Contains(err.Error(), "automator.commit.sign: openpgp: read secret") {
		t.Errorf("signer: %v", err)
	}
	if s, err := gitconfig.Signer(service.Commit{}); s != nil || err != nil {
		t.Errorf("without a key: %v, %v", s, err)
	}
}

func TestTheExampleOfTheReadmeIsTaken(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\n")
	block, _, found := strings.Cut(block, "```")
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := service.Load(file)
	if err != nil || !found {
		t.Fatal(err)
	}
	if c := cfg.GitCredentials(cfg.Repositories[0].URL, service.Credentials{}); c.SSH == nil {
		t.Errorf("the first repository has no SSH key: %+v", c)
	}
	if c := cfg.GitCredentials(cfg.Repositories[1].URL, service.Credentials{}); c.Token == nil {
		t.Errorf("the second has no token: %+v", c)
	}
}
