package automator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// A work tree may be a clone, one linked to a clone, a submodule, or no
// repository at all.
func TestAWorkTreeStandsForTheRepositoryOfItsOrigin(t *testing.T) {
	const config = "[remote \"upstream\"]\n\turl = https://git.example.com/acme/other\n[remote \"origin\"]\n\tURL = \"ssh://git@git.example.com/acme/config.git\"\n"
	repos := Config{Repositories: []service.Repository{
		{URL: "https://git.example.com/acme/config.git", Branch: "main"},
		{URL: "https://git.example.com/acme/config.git", Branch: "next"},
		{URL: "https://git.example.com/acme/other.git", Branch: "main"},
	}}
	for name, c := range map[string]struct {
		files map[string]string // @ is the folder
		cfg   Config
		want  string // url@branch, else a part of the error
	}{
		"a clone":                {map[string]string{"tree/.git/config": config, "tree/.git/HEAD": "ref: refs/heads/next\n"}, repos, "config.git@next"},
		"at another branch":      {map[string]string{"tree/.git/config": config, "tree/.git/HEAD": "ref: refs/heads/mine\n"}, repos, "at 2 branches"},
		"at no branch":           {map[string]string{"tree/.git/config": config, "tree/.git/HEAD": strings.Repeat("0", 40)}, repos, "at 2 branches"},
		"one branch is enough":   {map[string]string{"tree/.git/config": config, "tree/.git/HEAD": "ref: refs/heads/mine\n"}, Config{Repositories: repos.Repositories[1:]}, "config.git@next"},
		"of another":             {map[string]string{"tree/.git/config": strings.ReplaceAll(config, "acme/config", "acme/x"), "tree/.git/HEAD": ""}, repos, "no repository with the address of its origin"},
		"without origin":         {map[string]string{"tree/.git/config": "", "tree/.git/HEAD": ""}, repos, "it has no origin"},
		"no repository":          {map[string]string{"tree/x": ""}, repos, "it has no origin"},
		"no repository, one":     {map[string]string{"tree/x": ""}, Config{Repositories: repos.Repositories[2:]}, "other.git@main"},
		"of another, the only":   {map[string]string{"tree/.git/config": config, "tree/.git/HEAD": ""}, Config{Repositories: repos.Repositories[2:]}, "other.git@main"},
		"linked":                 {map[string]string{"tree/.git": "gitdir: @/clone/.git/worktrees/tree\n", "clone/.git/config": config, "clone/.git/worktrees/tree/HEAD": "ref: refs/heads/next\n", "clone/.git/worktrees/tree/commondir": "../..\n"}, repos, "config.git@next"},
		"a submodule":            {map[string]string{"tree/.git": "gitdir: ../clone/.git/modules/tree\n", "clone/.git/modules/tree/config": config, "clone/.git/modules/tree/HEAD": "ref: refs/heads/main\n"}, repos, "config.git@main"},
		"linked to what is gone": {map[string]string{"tree/.git": "gitdir: @/gone\n"}, repos, "read its .git"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700); err != nil {
					t.Fatal(err)
				}
				servicetest.Write(t, filepath.Join(dir, file), strings.ReplaceAll(text, "@/", dir+"/"))
			}
			r, err := repositoryOf(filepath.Join(dir, "tree"), c.cfg)
			switch {
			case err != nil && !strings.Contains(err.Error(), c.want):
				t.Error(err)
			case err == nil && !strings.HasSuffix(r.URL+"@"+r.Branch, c.want):
				t.Errorf("%s@%s", r.URL, r.Branch)
			}
		})
	}
}
