package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/service"
)

// What Compose 2 reads files by; the test of the whole runs with whichever Compose the
// machine has, in CI 1.29.
func TestComposeTwoTakesTheFiles(t *testing.T) {
	for name, files := range map[string][]string{
		"online":  {"docker-compose.yaml"},
		"offline": {"docker-compose.yaml", "deploy/compose/offline.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			var paths []string
			for _, f := range files {
				paths = append(paths, filepath.Join(root(t), f))
			}
			o, err := cli.NewProjectOptions(paths, cli.WithName("x"), cli.WithProfiles([]string{"*"}))
			if err != nil {
				t.Fatal(err)
			}
			p, err := o.LoadProject(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range append(slices.Clone(Services), backing...) {
				c, err := p.GetService(s)
				if err != nil {
					t.Error(err)
					continue
				}
				if built := strings.HasPrefix(c.Image, "slipway/"); name == "offline" && !built {
					t.Errorf("%s is of %s, which must be pulled", s, c.Image)
				}
			}
		})
	}
}

// Each config is valid with the secrets that its container has, and no others.
func TestConfigsNeedOnlyTheSecretsOfTheirContainer(t *testing.T) {
	for _, name := range Services {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), "deploy/compose/config", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, secret := range secretsOf(t, name) {
				if err := os.WriteFile(filepath.Join(dir, secret), []byte(random()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "slipway.yaml")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/run/secrets", dir)), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := service.Load(file); err != nil {
				t.Error(err)
			}
			for _, secret := range secretsOf(t, name) {
				if !strings.Contains(string(text), "/run/secrets/"+secret+"}") {
					t.Errorf("the container of %s has the secret %s, which its config doesn't use", name, secret)
				}
			}
		})
	}
}

// secretsOf are the names of the files in a container's /run/secrets.
func secretsOf(t *testing.T, name string) []string {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root(t), "docker-compose.yaml")}, cli.WithName("x"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range c.Secrets {
		all = append(all, filepath.Base(s.Target))
	}
	return all
}

func TestSecretsAreDrawnOnceAndAreTheOwnersAlone(t *testing.T) {
	p := &Project{Root: root(t), Local: filepath.Join(t.TempDir(), "local")}
	if err := p.drawSecrets(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(p.Local)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %s (%v), not its owner's alone", info.Mode(), err)
	}
	before := map[string]string{}
	for _, name := range drawn {
		if before[name], err = p.secret(name); err != nil || len(before[name]) < 32 {
			t.Errorf("%s has %d letters (%v)", name, len(before[name]), err)
		}
	}
	if err := os.Remove(filepath.Join(p.Local, "maria")); err != nil {
		t.Fatal(err)
	}
	if err := p.drawSecrets(); err != nil {
		t.Fatal(err)
	}
	for name, value := range before {
		now, err := p.secret(name)
		if err != nil || (now == value) == (name == "maria") {
			t.Errorf("%s was drawn anew: %t (%v)", name, now != value, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(p.Local, "registry.yaml"))
	if err != nil || strings.Contains(string(text), "${") || !strings.Contains(string(text), "Bearer "+before["registry-hook"]) {
		t.Errorf("the registry's configuration lacks its secrets (%v)", err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Each is what docker-compose, of either version, takes by itself.
func TestTheNameIsTheOneThatComposeTakes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), composeFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ folder, env, file, want string }{
		{folder: "My.Slipway 2", want: "myslipway2"},
		{folder: "slipway", file: "COMPOSE_PROJECT_NAME=filed\n", want: "filed"},
		{folder: "slipway", env: "told", file: "COMPOSE_PROJECT_NAME=filed\n", want: "told"},
	} {
		t.Run(c.want, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.folder)
			t.Setenv("COMPOSE_PROJECT_NAME", c.env)
			if c.env == "" {
				os.Unsetenv("COMPOSE_PROJECT_NAME") // Setenv puts it back
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string]string{composeFile: string(text), ".env": c.file} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := ownName(t.Context(), dir); err != nil || got != c.want {
				t.Errorf("it is %q, %v, not %q", got, err, c.want)
			}
		})
	}
}
