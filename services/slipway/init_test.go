package slipway_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// initialized runs init in a new folder, with what every installation answers
// and more.
func initialized(t *testing.T, more ...string) (dir, says string, code int) {
	t.Helper()
	dir = t.TempDir()
	var out syncBuffer
	args := append([]string{
		"init", "--config", filepath.Join(dir, "slipway.yaml"), "--data", filepath.Join(dir, "data"), "--cluster", "production", "--yes",
		"--url", "https://slipway.example.com",
	}, more...)
	code = slipway.Main(args, strings.NewReader(""), &out, &out)
	return dir, out.String(), code
}

// TestInitMakesAConfigForEverySender loads what is written for each provider as
// `slipway up` does; init itself has every part check it.
func TestInitMakesAConfigForEverySender(t *testing.T) {
	t.Parallel()
	const topic = "arn:aws:sns:eu-west-1:123456789012:slipway"
	git := []string{"--git-provider", "gitea", "--git-url", "https://git.example.com/acme/config.git"}
	registry := []string{"--registry-provider", "harbor", "--registry-host", "registry.example.com"}
	type sender struct {
		name string
		args []string
	}
	var all []sender
	for _, p := range service.Providers("registry-receiver") {
		all = append(all, sender{"registry " + p, append([]string{"--registry-provider", p, "--registry-host", "registry.example.com", "--registry-topic", topic}, git...)})
	}
	for _, p := range service.Providers("git-receiver") {
		all = append(all, sender{"git " + p, append([]string{"--git-provider", p, "--git-url", "https://git.example.com/acme/config.git", "--git-topic", topic}, registry...)})
	}
	for _, address := range []string{
		"https://github.com/a/b", "https://gitlab.com/a/b.git", "https://bitbucket.org/a/b", "https://dev.azure.com/o/p/_git/r", "https://gitee.com/a/b",
		"https://codeberg.org/a/b",
	} {
		all = append(all, sender{"git at " + address, append([]string{"--git-url", address}, registry...)})
	}
	all = append(all,
		sender{"gar by its account", append([]string{"--registry-host", "europe-docker.pkg.dev", "--registry-oidc-email", "a@b.iam.gserviceaccount.com"}, git...)},
		sender{"a registry by http", append([]string{"--registry-endpoint", "http://registry:5000"}, append(git, registry...)...)},
		sender{"by SSH", append([]string{"--git-url", "git@git.example.com:acme/config.git", "--git-provider", "gogs"}, registry...)})
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			args := s.args
			if s.name == "by SSH" {
				args = append(args, sshFiles(t)...)
			}
			dir, says, code := initialized(t, args...)
			if code != 0 {
				t.Fatalf("exit %d: %s", code, says)
			}
			cfg, err := service.Load(filepath.Join(dir, "slipway.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Receivers.Sources) != 2 || cfg.Cluster != "production" || cfg.Bus.Embedded == nil || cfg.Bus.Embedded.Sync != "always" {
				t.Errorf("%+v", cfg)
			}
			if !contains(says, "https://slipway.example.com/hooks/registry", "https://slipway.example.com/hooks/git", "where: ", "events: ", "secret: ") || strings.Contains(says, "{source}") {
				t.Error(says)
			}
		})
	}
}

func TestInitTellsSecretsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	args := []string{"--registry-host", "quay.io", "--git-url", "https://github.com/acme/config.git"}
	for _, show := range []bool{false, true} {
		more := args
		if show {
			more = append(more, "--show-secrets")
		}
		dir, says, code := initialized(t, more...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, says)
		}
		if next := "--repository https://github.com/acme/config.git --branch main --path clusters/production"; !strings.Contains(says, next) {
			t.Errorf("it doesn't say how the cluster begins: %s", says)
		}
		if !strings.Contains(says, "name it at synchronizer.kubeconfig") {
			t.Errorf("it doesn't say how the cluster is reached: %s", says)
		}
		for _, source := range []string{"registry", "git"} {
			secret, err := service.Secret{File: filepath.Join(dir, "secrets", source)}.Read()
			if err != nil || len(secret) != 64 {
				t.Fatalf("%q, %v", secret, err)
			}
			if strings.Contains(says, secret) != show {
				t.Errorf("shown: %v: %s", !show, says)
			}
			// Quay knows nothing but the address.
			if whole := "https://slipway.example.com/hooks/registry/" + secret; source == "registry" && strings.Contains(says, whole) != show {
				t.Errorf("the address: %s", says)
			}
			config, err := os.ReadFile(filepath.Join(dir, "slipway.yaml"))
			if err != nil || strings.Contains(string(config), secret) {
				t.Errorf("the config has it, or %v", err)
			}
		}
	}
}

// TestWhatInitWritesIsWhatUpRuns goes from nothing to a webhook that is
// accepted.
func TestWhatInitWritesIsWhatUpRuns(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "")
	token := filepath.Join(m.dir, "token")
	servicetest.Write(t, token, "a token\n")
	args := []string{
		"init", "--config", m.config, "--data", m.data, "--cluster", "local", "--url", "http://" + m.hooks,
		"--registry-host", "registry.example.com", "--registry-provider", "harbor", "--git-url", "http://127.0.0.1:1/acme/config.git", "--git-provider", "gitea",
		"--git-token-file", token, "--kubeconfig", filepath.Join(m.dir, "kubeconfig"),
		"--listen-hooks", m.hooks, "--listen-api", "127.0.0.1:0", "--listen-metrics", m.metrics, "--listen-bus", m.nats,
	}
	if code, says := m.run(t, args...); code != 3 || !contains(says, "the config is there already", "--force") {
		t.Errorf("exit %d: %s", code, says)
	}
	m.does(t, append(args, "--force")...)
	m.up(t)
	secret, err := service.Secret{File: filepath.Join(m.dir, "secrets", "git")}.Read()
	if err != nil {
		t.Fatal(err)
	}
	m.env = []string{"HOOK_SECRET=" + secret}
	body := filepath.Join(m.dir, "body.json")
	servicetest.Write(t, body, push)
	if says := m.does(t, "send", "--provider", "gitea", "--url", "http://"+m.hooks+"/hooks/git", "--secret-env", "HOOK_SECRET", "--header", "X-Gitea-Event: push", body); !strings.Contains(says, "chainId") {
		t.Error(says)
	}
}

// sshFiles are a key and a host's key, made as a user would.
func sshFiles(t *testing.T) []string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	hosts := key + ".hosts"
	servicetest.Write(t, hosts, "git.example.com "+string(public))
	return []string{"--git-ssh-key", key, "--git-known-hosts", hosts}
}
