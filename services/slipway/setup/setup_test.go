package setup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway/setup"
	"github.com/slipway-cd/slipway/shared/service"
)

func noCheck(service.Config) error { return nil }

// answers are those of a new installation in dir.
func answers(dir string) setup.Answers {
	a := setup.Answers{Config: filepath.Join(dir, "slipway.yaml"), Cluster: "production", URL: "https://slipway.example.com/"}
	a.Registry.Host, a.Git.URL = "ghcr.io", "https://github.com/acme/config.git"
	return a
}

func TestWhatIsLeftOutIsGuessed(t *testing.T) {
	for host, want := range map[string]string{
		"ghcr.io": "github", "docker.io": "dockerhub", "quay.io": "quay", "acme.azurecr.io": "acr", "gcr.io": "gar", "eu.gcr.io": "gar",
		"europe-docker.pkg.dev": "gar", "1234.dkr.ecr.eu-west-1.amazonaws.com": "ecr", "fra.ocir.io": "oracle-ocir", "docker.cloudsmith.io": "cloudsmith",
		"registry.cn-hangzhou.aliyuncs.com": "aliyun-acr", "registry.example.com": "", "notghcr.io": "", "ghcr.io.example.com": "",
	} {
		if got := setup.GuessRegistry(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
		if got := setup.GuessRegistry(strings.ToUpper(host)); got != want {
			t.Errorf("%s in capitals: %q, want %q", host, got, want)
		}
	}
	for address, want := range map[string]string{
		"https://github.com/a/b": "github", "git@gitlab.com:a/b.git": "gitlab", "ssh://git@bitbucket.org/a/b": "bitbucket-cloud",
		"https://dev.azure.com/o/p/_git/r": "azure-devops", "https://codeberg.org/a/b": "forgejo", "https://git.example.com/a/b": "", "": "", "::": "",
	} {
		if got := setup.GuessGit(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestEveryMissingAnswerIsTold(t *testing.T) {
	err := setup.Answers{Config: "x.yaml"}.Complete().Check()
	if !errors.Is(err, setup.ErrInput) {
		t.Fatal(err)
	}
	for _, flag := range []string{"--cluster", "--url", "--registry-host", "--git-url", "--registry-provider", "--git-provider"} {
		if !strings.Contains(err.Error(), flag+": it is needed") {
			t.Errorf("%s is not told: %v", flag, err)
		}
	}
}

func TestWrongAnswersAreToldByTheirFlag(t *testing.T) {
	for flag, change := range map[string]func(*setup.Answers){
		"url":                 func(a *setup.Answers) { a.URL = "slipway.example.com" },
		"registry-provider":   func(a *setup.Answers) { a.Registry.Provider = "githib" },
		"git-provider":        func(a *setup.Answers) { a.Git.Provider = "harbor" },
		"registry-topic":      func(a *setup.Answers) { a.Registry.Provider = "aws-sns" },
		"git-topic":           func(a *setup.Answers) { a.Git.Provider = "aws-sns" },
		"registry-oidc-email": func(a *setup.Answers) { a.Registry.Email = "x" },
		"tls-cert":            func(a *setup.Answers) { a.Key = "x" },
		"registry-user":       func(a *setup.Answers) { a.Registry.Token = "x" },
		"git-ssh-key":         func(a *setup.Answers) { a.Git.URL = "git@github.com:acme/config.git" },
	} {
		a := answers(t.TempDir())
		change(&a)
		if err := a.Complete().Check(); !errors.Is(err, setup.ErrInput) || !strings.Contains(err.Error(), "--"+flag+": ") {
			t.Errorf("--%s: %v", flag, err)
		}
	}
}

func TestAConfigIsWrittenWholeOrNotAtAll(t *testing.T) {
	a := answers(t.TempDir()).Complete()
	refusal := errors.New("no")
	if err := a.Write(false, func(service.Config) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("write: %v", err)
	}
	if got := files(t, filepath.Dir(a.Config)); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	if err := a.Write(false, noCheck); err != nil {
		t.Fatal(err)
	}
	before := files(t, filepath.Dir(a.Config))
	if err := a.Write(false, noCheck); !errors.Is(err, setup.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if err := a.Write(true, noCheck); err != nil {
		t.Errorf("by force: %v", err)
	}
	// Senders have the secrets.
	if after := files(t, filepath.Dir(a.Config)); fmt.Sprint(after) != fmt.Sprint(before) || len(before) != 3 {
		t.Errorf("before: %v, after: %v", before, after)
	}
	for _, source := range []string{"registry", "git"} {
		info, err := os.Stat(filepath.Join(a.Secrets, source))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", source, info, err)
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestQuestionsAreAskedUntilTheyAreAnswered(t *testing.T) {
	var out bytes.Buffer
	in := strings.NewReader(strings.Join([]string{
		"", "", "https://s.example.com", "registry.example.com", "what", "harbor", "https://git.example.com/a/b.git", "gitea", "", "/srv/slipway",
	}, "\n"))
	a, err := setup.Answers{}.Ask(in, &out)
	if err != nil {
		t.Fatal(err)
	}
	if a.Cluster != "production" || a.URL != "https://s.example.com" || a.Registry.Provider != "harbor" || a.Git.Provider != "gitea" || a.Git.Token != "" || a.Data != "/srv/slipway" {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(out.String(), "Name of the cluster [production]: ") || strings.Count(out.String(), "What kind of registry") != 2 {
		t.Error(out.String())
	}
	if _, err := (setup.Answers{}).Ask(strings.NewReader("a\n"), &out); !errors.Is(err, setup.ErrInput) {
		t.Errorf("cut off: %v", err)
	}
	given := answers("")
	given.Data, given.Git.Token = "/srv", "/token"
	out.Reset()
	given = given.Complete()
	if b, err := given.Ask(strings.NewReader(""), &out); err != nil || out.Len() > 0 || b != given {
		t.Errorf("%v, asked: %s", err, &out)
	}
}

// FuzzConfig writes answers of any kind: what is taken says the same when it is
// read.
func FuzzConfig(f *testing.F) {
	f.Add("production", "https://slipway.example.com", "ghcr.io", "https://github.com/acme/config.git", "main", "clusters/x", "alice", "127.0.0.1:8080")
	f.Add("a\n- b: c", `"quoted" 'x' #no comment`, "{{.}}", "git@x:y", "ünï\x00\xff\u2028", "<a> & b: [c]", "!!binary |", "*alias")
	f.Fuzz(func(t *testing.T, cluster, url, host, git, branch, root, user, hooks string) {
		a := setup.Answers{Config: "x.yaml", Cluster: cluster, URL: url, Hooks: hooks}
		a.Registry = setup.Registry{Provider: "harbor", Host: host, User: user, Token: "/token"}
		a.Git = setup.Git{Provider: "gitea", URL: git, Branch: branch, Root: root, Policies: "p", SSHKey: "/k", KnownHosts: "/h"}
		if slices.ContainsFunc([]string{cluster, url, host, git, branch, root, user, hooks}, func(s string) bool { return strings.ToValidUTF8(s, "") != s }) {
			t.Skip() // no YAML can say it
		}
		text, err := a.Text()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "slipway.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := service.LoadRepositories(file)
		if err != nil {
			if strings.Contains(err.Error(), ": line ") {
				t.Fatalf("%v:\n%s", err, text)
			}
			return // a fault of the answers
		}
		if cfg.Cluster != cluster || cfg.Registries[0].Host != host || cfg.Repositories[0].URL != git || cfg.Registries[0].Credentials.User != user {
			t.Errorf("%+v, from:\n%s", cfg, text)
		}
	})
}
