package service_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

const prefixes = `
bus: {url: "nats://nats:4222"}
credentials:
- {prefix: "https://git.example.com/", token: {env: WIDE}}
- {prefix: "https://git.example.com/acme/", user: maria, password: {env: ACME}}
- {prefix: "https://git.example.com:8443/acme", token: {env: PORT}}
- prefix: ssh://git@git.example.com/acme
  ssh:
    key: {file: /keys/id}
    knownHosts: |
      git.example.com ssh-ed25519 AAAA
- {prefix: "https://github.com/acme", githubApp: {appId: "1", installationId: "2", privateKey: {file: /keys/app.pem}, endpoint: "https://api.github.com"}}
repositories:
- {url: "git@git.example.com:acme/config.git", aliases: [git.internal]}
- {url: "https://git.example.com/acme/own.git", credentials: {token: {env: OWN}}, ca: {file: /keys/ca.pem}, proxy: "http://m:pa55@proxy:3128"}
automator: {commit: {sign: {ssh: {file: /keys/sign}, passphrase: {env: PASS}}}}
`

func TestCredentialsAreThoseOfTheLongestPrefix(t *testing.T) {
	c, err := service.Load(write(t, prefixes))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://git.example.com/acme/config.git":          "ACME",
		"https://git.example.com/acme/":                    "ACME",
		"https://GIT.example.com:443/acme/deep/config.git": "ACME",
		"https://git.example.com/other/config.git":         "WIDE",
		"https://git.example.com/acme2/config.git":         "WIDE",
		"https://git.example.com/acme/../other/config.git": "WIDE",
		"https://git.example.com:8443/acme/config.git":     "PORT",
		"https://git.example.com:8443/other/config.git":    "",
		"http://git.example.com/acme/config.git":           "",
		"https://git.example.com.evil.com/acme/config.git": "",
		"https://evil.com/git.example.com/acme/config.git": "",
		"https://git.example.com@evil.com/acme/config.git": "",
		"https://xgit.example.com/acme/config.git":         "",
		"git@git.example.com:acme/config.git":              "ssh",
		"ssh://maria@git.example.com:22/acme/config.git":   "ssh",
		"ssh://git@git.example.com:2222/acme/config.git":   "",
		"https://github.com/acme/config":                   "app",
		"https://github.com/acmeother/config":              "",
		"nonsense":                                         "",
	} {
		got := c.GitCredentials(address, service.Credentials{})
		told := ""
		switch {
		case got.Token != nil:
			told = got.Token.Env
		case got.Password != nil:
			told = got.Password.Env
		case got.SSH != nil:
			told = "ssh"
		case got.GitHubApp != nil:
			told = "app"
		}
		if told != want {
			t.Errorf("%s gets %q, want %q", address, told, want)
		}
	}
	own := c.GitCredentials(c.Repositories[1].URL, c.Repositories[1].Credentials)
	if own.Token == nil || own.Token.Env != "OWN" || own.Password != nil {
		t.Errorf("the repository's own credentials don't count: %+v", own)
	}
	if got := c.GitAliases()["git.internal"]; got != "git.example.com" {
		t.Errorf("the alias stands for %q", got)
	}
}

func TestFaultsOfGitAccessAreTold(t *testing.T) {
	_, err := service.Load(write(t, `
bus: {url: "nats://nats:4222"}
registries: [{host: ghcr.io, credentials: {ssh: {key: {file: /id}}}}]
credentials:
- {prefix: git.example.com/acme, token: {env: X}}
- {prefix: "https://maria:pa55@git.example.com/acme", token: {env: X}}
- {prefix: "https://git.example.com/a", token: {env: X}, password: {env: Y}}
- {prefix: "https://git.example.com/b"}
- {prefix: "https://git.example.com/c", token: {env: X}}
- {prefix: "https://git.example.com:443/c/", token: {env: X, file: /x}}
- {prefix: "https://git.example.com/d", ssh: {key: {file: /id}}}
- {prefix: "ssh://git.example.com/e", token: {env: X}}
- {prefix: "https://git.example.com/f", githubApp: {appId: "1", endpoint: "https://m:pa55@github.com"}}
- {prefix: "https://git.example.com/g", dockerConfig: /x}
repositories:
- {url: "git@git.example.com:acme/config.git", proxy: "http://proxy"}
- {url: "https://git.example.com/acme/two.git", proxy: "ftp://m:pa55@proxy", ca: {}}
- {url: "ssh://git:pa55@git.example.com/acme/three.git"}
automator: {commit: {sign: {ssh: {file: /a}, openpgp: {file: /b}}}}
`))
	if !errors.Is(err, service.ErrConfig) {
		t.Fatalf("load: %v, want ErrConfig", err)
	}
	for _, want := range []string{
		"registries[0].credentials: ssh", "credentials[0].prefix", "credentials[1].prefix: credentials belong beside",
		"credentials[2]: give one of", "credentials[3]: no credentials", "credentials[5].prefix", "credentials[6]: ssh is for",
		"credentials[6].ssh.knownHosts", "credentials[7]: ssh is for", "credentials[8].githubApp: appId",
		"credentials[8].githubApp.privateKey", "credentials[8].githubApp.endpoint", "credentials[9]: file, dockerConfig",
		"repositories[0].credentials: an address by SSH needs", "repositories[0]: ca and proxy", "repositories[1].proxy", "repositories[1].ca",
		"repositories[2].url: credentials belong", "automator.commit.sign: give one",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't tell %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "pa55") {
		t.Errorf("the error holds a password:\n%v", err)
	}
}

func TestKnownHostsStandInTheConfigOrInAFile(t *testing.T) {
	file := write(t, "git.example.com ssh-ed25519 BBBB\n")
	c, err := service.Load(write(t, strings.Replace(prefixes, "knownHosts: |\n      git.example.com ssh-ed25519 AAAA", "knownHosts: {file: "+file+"}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Credentials[3].SSH.KnownHosts.Read(); err != nil || got != "git.example.com ssh-ed25519 BBBB" {
		t.Errorf("from the file: %q, %v", got, err)
	}
	if c, err = service.Load(write(t, prefixes)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Credentials[3].SSH.KnownHosts.Read(); err != nil || got != "git.example.com ssh-ed25519 AAAA\n" {
		t.Errorf("from the config: %q, %v", got, err)
	}
	_, err = service.Load(write(t, strings.Replace(prefixes, "knownHosts: |\n      git.example.com ssh-ed25519 AAAA", "knownHosts: {path: x}", 1)))
	if err == nil || !strings.Contains(err.Error(), "field path is not known") {
		t.Errorf("an unknown field: %v", err)
	}
	_ = os.Remove(file)
}
