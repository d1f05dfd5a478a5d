package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

// folder writes a config with sources.d beside it, and gives the config's
// name.
func folder(t *testing.T, config string, sources map[string]string) string {
	t.Helper()
	file := write(t, config)
	dir := filepath.Join(filepath.Dir(file), "sources.d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range sources {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

const inConfig = good + `
receivers: {sources: [{name: first, provider: github, insecure: true}]}
`

func TestEachFileInTheFolderIsOneSource(t *testing.T) {
	file := folder(t, inConfig, map[string]string{
		"20-b.yaml": "{name: third, provider: gitea, insecure: true}", "10-a.yml": "name: second\nprovider: quay\ninsecure: true\n",
		"README.md": "not one", "c.yaml.bak": "name: [", ".hidden.yaml": "name: [",
	})
	c, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range c.Receivers.Sources {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "first second third" {
		t.Errorf("the sources are %s", got)
	}
}

// TestTheFolderMayBeAMountOfKubernetes has links to a folder that is replaced
// as a whole.
func TestTheFolderMayBeAMountOfKubernetes(t *testing.T) {
	file := folder(t, inConfig, nil)
	dir := filepath.Join(filepath.Dir(file), "sources.d")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "..2026_11_23.1"), 0o700),
		os.WriteFile(filepath.Join(dir, "..2026_11_23.1", "quay.yaml"), []byte("{name: quay, provider: quay, insecure: true}"), 0o600),
		os.Symlink("..2026_11_23.1", filepath.Join(dir, "..data")),
		os.Symlink("..data/quay.yaml", filepath.Join(dir, "quay.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := service.Load(file)
	if err != nil || len(c.Receivers.Sources) != 2 {
		t.Fatalf("%v %+v", err, c.Receivers.Sources)
	}
}

func TestAFaultOfASourceNamesItsFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown field":     {"name: a\nprovider: github\ninsecure: true\nsecrt: x\n", "a.yaml: line 4: field secrt is not known"},
		"the config's shape":   {"receivers: {sources: []}", "a.yaml: line 1: field receivers is not known"},
		"a list":               {"\n- {name: a}", "a.yaml: line 2: it must be the fields of one source"},
		"a word":               {"github", "a.yaml: line 1: it must be the fields of one source"},
		"two documents":        {"{name: a, provider: github, insecure: true}\n---\n{name: b}", "a.yaml: line 2: a second document"},
		"no YAML":              {"name: [", "a.yaml: line 1"},
		"nothing":              {"# later\n", `a.yaml: name: "" is not a DNS label`},
		"no secret":            {"{name: a, provider: github}", "a.yaml: secrets: source"},
		"a secret's file":      {"{name: a, provider: github, secrets: [{file: /none}]}", "a.yaml: secrets[0]: read secret"},
		"a name twice":         {"{name: first, provider: github, insecure: true}", `a.yaml: name: "first" is there twice: it is the name of receivers.sources[0], too`},
		"a provider's old way": {"{name: a, provider: docker-hub, insecure: true}", `a.yaml: provider: "docker-hub" is not known (did you mean dockerhub?`},
		"half of a provider":   {"{name: a, provider: bitbucket, insecure: true}", "did you mean bitbucket-cloud or bitbucket-datacenter?"},
		"a slip of the finger": {"{name: a, provider: githib, insecure: true}", "did you mean github or gitlab?"},
		"no provider at all":   {"{name: a, provider: sourceforge, insecure: true}", "\"sourceforge\" is not known (`slipway providers` lists them)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.Load(folder(t, inConfig, map[string]string{"a.yaml": c.text}))
			if !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("load: %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestTheFolderMustBeOne(t *testing.T) {
	file := write(t, inConfig)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "sources.d"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Load(file); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "list the sources") {
		t.Errorf("load: %v", err)
	}
}

func TestAProviderThatNobodyTakesIsRefused(t *testing.T) {
	_, err := service.Load(write(t, good+"receivers: {sources: [{name: a, provider: github-packages, insecure: true}]}"))
	if err == nil || !strings.Contains(err.Error(), `receivers.sources[0].provider: "github-packages" is not known (did you mean github?`) {
		t.Errorf("load: %v", err)
	}
}
