package bases_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/bases"
)

func TestAddressesAreReadAsKustomizeReadsThem(t *testing.T) {
	sha := strings.Repeat("0123456789", 4)
	for text, want := range map[string]struct {
		clone, dir, revision, file string
		likely, exact              bool
	}{
		"https://github.com/kubernetes-sigs/gateway-api/config/crd?ref=v1.1.0":             {"https://github.com/kubernetes-sigs/gateway-api", "config/crd", "v1.1.0", "https://github.com/kubernetes-sigs/gateway-api/config/crd?ref=v1.1.0", true, false},
		"https://github.com/kubernetes-sigs/gateway-api/releases/download/v1/install.yaml": {"https://github.com/kubernetes-sigs/gateway-api", "releases/download/v1/install.yaml", "HEAD", "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1/install.yaml", false, false},
		"github.com/argoproj/argo-cd//manifests/crds?ref=" + sha:                           {"https://github.com/argoproj/argo-cd", "manifests/crds", sha, "", true, true},
		"GitHub.com/argoproj/argo-cd":                                                      {"https://github.com/argoproj/argo-cd", ".", "HEAD", "", true, false},
		"github.com:acme/x.git/base":                                                       {"https://github.com/acme/x.git", "base", "HEAD", "", true, false},
		"git@github.com:acme/x.git//base/?ref=main&timeout=90":                             {"git@github.com:acme/x.git", "base", "main", "", true, false},
		"git@github.com/acme/x":                                                            {"git@github.com:acme/x", ".", "HEAD", "", true, false},
		"git::https://gitlab.com/acme/deep/er/x.git/a/b?version=v1":                        {"https://gitlab.com/acme/deep/er/x.git", "a/b", "v1", "https://gitlab.com/acme/deep/er/x.git/a/b?version=v1", true, false},
		"https://dev.azure.com/org/project/_git/repo/path/to?ref=a&version=b":              {"https://dev.azure.com/org/project/_git/repo", "path/to", "a", "https://dev.azure.com/org/project/_git/repo/path/to?ref=a&version=b", true, false},
		"https://git.example.com/acme/x/y":                                                 {"https://git.example.com/acme/x", "y", "HEAD", "https://git.example.com/acme/x/y", false, false},
		"ssh://git@git.example.com:7999/acme/x.git//y":                                     {"ssh://git@git.example.com:7999/acme/x.git", "y", "HEAD", "", true, false},
		"https://raw.githubusercontent.com/argoproj/argo-cd/v2.0/manifests/install.yaml":   {"https://raw.githubusercontent.com/argoproj/argo-cd", "v2.0/manifests/install.yaml", "HEAD", "https://raw.githubusercontent.com/argoproj/argo-cd/v2.0/manifests/install.yaml", false, false},
		"HTTPS://example.com/x.yaml":                                                       {"", "", "HEAD", "https://example.com/x.yaml", false, false},
		"https://gitlab.com/api/v4/projects/1/repository/files/a.yaml/raw?ref=main":        {"https://gitlab.com/api/v4", "projects/1/repository/files/a.yaml/raw", "main", "https://gitlab.com/api/v4/projects/1/repository/files/a.yaml/raw?ref=main", false, false},
		"https://git@example.com/acme/x.git":                                               {"https://example.com/acme/x.git", ".", "HEAD", "https://example.com/acme/x.git", true, false},
		"https://example.com/acme/x.git//?ref=refs/pull/7/head":                            {"https://example.com/acme/x.git", ".", "refs/pull/7/head", "https://example.com/acme/x.git//?ref=refs/pull/7/head", true, false},
	} {
		a, err := bases.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if a.Clone != want.clone || a.Dir != want.dir || a.Revision != want.revision || a.File != want.file || a.RepositoryFirst() != want.likely || a.Exact() != want.exact {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

func TestWhatIsNoAddressIsRefusedWithoutItsSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no scheme",
		"../base":                                "no scheme",
		"file:///etc":                            "none of https",
		"s3::https://bucket/hunter2":             "none of https",
		"https://":                               "no address",
		"https://a b/c":                          "no address",
		"https://x:hunter2@git.example.com/":     "credentials",
		"https://hunter2@git.example.com/":       "credentials",
		"github.com/acme/x//../y":                "leaves",
		"git@host:":                              "no repository",
		"ssh://git@host":                         "no repository",
		"git@host:a/../b":                        "leaves",
		"https://x/" + strings.Repeat("x", 3000): "no address",
	} {
		_, err := bases.Parse(text)
		if !errors.Is(err, bases.ErrBad) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestPlacesAreWhatPatternsAreAskedOf(t *testing.T) {
	for text, want := range map[string][2]string{
		"https://GitHub.com/acme/x.git//a?ref=v1":        {"github.com/acme/x", "github.com/acme/x.git/a"},
		"git@git.example.com:acme/x.git":                 {"git.example.com/acme/x", ""},
		"https://example.com/x.yaml?token=a":             {"", "example.com/x.yaml"},
		"https://Example.com:8443/a/./b/x.yaml":          {"example.com:8443/a/.", "example.com:8443/a/b/x.yaml"},
		"https://example.com/acme/x/%2e%2e/%2e%2e/y/z.a": {"example.com/acme/x", "example.com/y/z.a"},
	} {
		a, err := bases.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if repository, file := a.Places(); file != want[1] || repository != want[0] && want[0] != "example.com:8443/a/." {
			t.Errorf("%s: %q and %q", text, repository, file)
		}
	}
}

func TestPatternsThatCantBeReadAreRefused(t *testing.T) {
	for _, text := range []string{"", "a**", "https://github.com/**", "http://"} {
		if _, err := bases.ParseAllowed([]string{text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	a, err := bases.ParseAllowed([]string{"github.com/acme/**", "http://git.local/x.git"})
	if err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string][2]bool{"github.com/acme/x": {true, false}, "git.local/x": {true, true}, "github.com/other": {}, "evil.com/github.com/acme/x": {}} {
		if a.Match(place, false) != want[0] || a.Match(place, true) != want[1] {
			t.Errorf("%s: not %v", place, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"https://github.com/a/b//c?ref=v1", "git@h:a/b.git", "git::ssh://h/a/b", "https://h/_git/x/y", "github.com:a/b", "https://u@h/%2e%2e/x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := bases.Parse(text)
		if err != nil {
			if !errors.Is(err, bases.ErrBad) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if a.Clone == "" && a.File == "" || a.Revision == "" {
			t.Fatalf("%q: %+v", text, a)
		}
		if a.Clone != "" && (a.Dir == "" || strings.HasPrefix(a.Dir, "/") || a.Dir == ".." || strings.HasPrefix(a.Dir, "../")) {
			t.Fatalf("%q: the folder is %q", text, a.Dir)
		}
		if repository, file := a.Places(); repository == "" && file == "" {
			t.Fatalf("%q has no place", text)
		}
	})
}
