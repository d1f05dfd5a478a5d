package bootstrap

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	os.Exit(m.Run())
}

// options are those of a cluster in a repository.
func options(t *testing.T, url string) Options {
	t.Helper()
	o := Options{
		Repository: url, Branch: "main", Path: "clusters/north", Namespace: "slipway-system", Controller: true, Image: "registry.example.com/synchronizer:1", BusURL: "nats://nats:4222",
		Git:  gitrepo.Options{URL: url, Branch: "main", Dir: filepath.Join(t.TempDir(), "git")},
		Name: "Slipway", Email: "slipway@example.com", Say: func(string) {},
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestASecondTimeNothingIsCommitted(t *testing.T) {
	t.Parallel()
	s := gitrepotest.Start(t, nil)
	work := s.Create("config.git", map[string]string{"README.md": "config\n"})
	o := options(t, s.URL+"/config.git")
	first, err := o.commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	work.Pull()
	head := work.Git("rev-parse", "HEAD")
	second, err := o.commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	work.Pull()
	if now := work.Git("rev-parse", "HEAD"); now != head {
		t.Errorf("the second time made %s after %s", now, head)
	}
	for name, text := range first {
		if second[name] != text || text == "" {
			t.Errorf("%s is another:\n%s", name, second[name])
		}
	}
	// What people change stands, but where they ask for another image.
	o.Image = "registry.example.com/synchronizer:2"
	kept, err := o.commit(t.Context())
	if err != nil || strings.Contains(kept[o.controllerFile()], "synchronizer:2") {
		t.Errorf("what is in Git was changed (%v)", err)
	}
	o.Anew = true
	if anew, err := o.commit(t.Context()); err != nil || !strings.Contains(anew[o.controllerFile()], "synchronizer:2") {
		t.Errorf("the image was not changed (%v)", err)
	}
}

func TestWhatIsInTheRepositoryCanForbidIt(t *testing.T) {
	t.Parallel()
	o := options(t, "https://git.example.com/acme/config.git")
	other := o
	other.Cluster = "south"
	above := other
	above.Path = "clusters"
	moved := o
	moved.Repository = "https://git.example.com/acme/other.git"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // empty: it may
		is    error
	}{
		"an empty repository":     {nil, "", nil},
		"a path with others":      {map[string]string{"clusters/north/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"}, "", nil},
		"its own":                 {map[string]string{o.rootFile(): o.rootText()}, "", nil},
		"another cluster's":       {map[string]string{o.rootFile(): other.rootText()}, "clusters/north/slipway-system/root.yaml:4 is the root of cluster south", ErrRefused},
		"another cluster's, else": {map[string]string{"clusters/north/x.yaml": other.rootText()}, "x.yaml:4 is the root of cluster south", ErrRefused},
		"below another root":      {map[string]string{above.rootFile(): above.rootText()}, "is the root of cluster south, and applies everything below clusters", ErrRefused},
		"another namespace":       {map[string]string{"clusters/north/x.yaml": o.rootText()}, "is the root of this cluster already", ErrRefused},
		"of another repository":   {map[string]string{o.rootFile(): moved.rootText()}, "it was copied, or its repository has moved", ErrRefused},
		"no Application":          {map[string]string{o.rootFile(): "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: root}\nspec: {sauce: 1}\n"}, "root.yaml:4: spec.sauce: unknown field", ErrInput},
		"a file for a path":       {map[string]string{"clusters/north": "x"}, "--path clusters/north is a file", ErrInput},
		"a kustomization":         {map[string]string{"clusters/north/kustomization.yaml": "resources: [a.yaml]\n", "clusters/north/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}, "leaves out what bootstrap adds: add slipway-system/namespace.yaml, slipway-system/root.yaml", ErrInput},
		"a kustomization with it": {map[string]string{"clusters/north/kustomization.yaml": "resources: [slipway-system/root.yaml, slipway-system/namespace.yaml, slipway-system/synchronizer.yaml]\n"}, "", nil},
		"a namespace twice":       {map[string]string{"clusters/north/a.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: slipway-system}\n"}, "Namespace slipway-system is also in", ErrInput},
		"a broken file":           {map[string]string{"clusters/north/a.yaml": "a: [\n"}, "can't be rendered", ErrInput},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := fstest.MapFS{}
			for name, text := range c.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			_, _, err := o.compare(t.Context(), fsys)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "\n", " "), c.want) || !errors.Is(err, c.is)) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheGitHostCanForbidIt(t *testing.T) {
	t.Parallel()
	refuse := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "receive-pack") || strings.Contains(r.URL.RawQuery, "receive-pack") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	s := gitrepotest.Start(t, refuse)
	s.Create("config.git", map[string]string{"README.md": "config\n"})
	if _, err := options(t, s.URL+"/config.git").commit(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("a refused push is %v", err)
	}
	if _, err := options(t, s.URL+"/none.git").commit(t.Context()); err == nil {
		t.Error("a repository that isn't there is taken")
	}
	o := options(t, s.URL+"/config.git")
	o.Branch, o.Git.Branch = "other", "other"
	if _, err := o.commit(t.Context()); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "make the branch with a first commit") {
		t.Errorf("a branch that isn't there is %v", err)
	}
}

func TestWhatCantBeIsSaidBeforeAnythingIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ repository, path, cluster, namespace, want string }{
		{"https://git.example.com/a/b.git", "../x", "", "s", "is not a folder inside the repository"},
		{"https://git.example.com/a/b.git", "/x", "", "s", "is not a folder inside the repository"},
		{"https://git.example.com/a/b.git", ".", "", "s", "name the cluster with --cluster"},
		{"https://git.example.com/a/b.git", "clusters/North", "", "s", `--cluster "North" is not a DNS label`},
		{"https://git.example.com/a/b.git", "x", "", "S", `--namespace "S" is not a DNS label`},
		{"nowhere", "x", "", "s", "--repository"},
	} {
		o := Options{Repository: c.repository, Path: c.path, Cluster: c.cluster, Namespace: c.namespace}
		if err := o.Check(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
