package render_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/render"
)

const farMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: far\ndata:\n  a: b\n"

// far is a host with a repository and some files.
type far struct {
	*gitrepotest.Server
	work  *gitrepotest.Work
	first string // its first commit
}

func startFar(t *testing.T) far {
	t.Helper()
	files := map[string]string{
		"cm.yaml": farMap, "two.yaml": farMap + "---\n" + strings.ReplaceAll(farMap, "far", "further"),
		"patch.yaml": "- {op: replace, path: /spec/replicas, value: 7}\n", "plain.txt": "hello\n", "plain.yaml": farMap,
		"gen.yaml":   "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: made}\nfiles: [HOST/files/plain.txt]\n",
		"names.yaml": "nameReference:\n- kind: ConfigMap\n  fieldSpecs:\n  - {kind: Deployment, path: spec/template/spec/volumes/farMap/name}\n",
	}
	s := gitrepotest.Start(t, func(git http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, is := strings.CutPrefix(r.URL.Path, "/files/")
			if text, found := files[name]; is && found {
				_, _ = fmt.Fprint(w, strings.ReplaceAll(text, "HOST", "http://"+r.Host))
				return
			}
			git.ServeHTTP(w, r)
		})
	})
	f := far{Server: s}
	f.work = s.Create("acme/bases.git", map[string]string{
		"web/kustomization.yaml": "resources: [deployment.yaml, ../common]\nconfigMapGenerator:\n- {name: conf, files: [conf.txt]}\n", "web/deployment.yaml": deployment, "web/conf.txt": "a\n",
		"common/kustomization.yaml": "resources: [cm.yaml]\n", "common/cm.yaml": strings.ReplaceAll(farMap, "far", "common"),
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 9}\n",
		"nested/kustomization.yaml":    "resources:\n- " + s.URL + "/acme/other.git//thing?ref=main\n- " + s.URL + "/files/cm.yaml\n",
		"out/kustomization.yaml":       "resources: [../../../secret]\n",
		"kustomization.yaml":           "resources: [web]\nnamePrefix: root-\n",
	})
	f.first = f.work.Git("rev-parse", "HEAD")
	f.work.Git("tag", "-a", "-m", "x", "v1.0.0")
	f.work.Git("push", "-q", "origin", "v1.0.0", "HEAD:refs/heads/feature/x")
	f.work.Commit("later", map[string]string{"web/deployment.yaml": strings.ReplaceAll(deployment, "web", "later")})
	s.Create("acme/other.git", map[string]string{"thing/kustomization.yaml": "resources: [cm.yaml]\nnameSuffix: -other\n", "thing/cm.yaml": farMap})
	return f
}

// source brings what patterns allow.
func (f far) source(t *testing.T, allow ...string) bases.Source {
	t.Helper()
	for i := range allow {
		allow[i] = strings.ReplaceAll(allow[i], "HOST", f.URL)
	}
	c, err := fetch.New(fetch.Options{Dir: t.TempDir(), Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	return c.Source(func(a bases.Address, files bool) (fetch.Question, error) {
		return fetch.Question{Address: a, Files: files, Since: began}, nil
	})
}

// sortedStream are the documents of a stream, sorted.
func sortedStream(stream []byte) []string {
	texts := strings.Split(strings.TrimRight(string(stream), "\n"), "\n---\n")
	slices.Sort(texts)
	return texts
}

func documents(objects []render.Object) (texts []string) {
	for _, o := range objects {
		texts = append(texts, strings.TrimRight(string(o.Raw), "\n"))
	}
	slices.Sort(texts)
	return texts
}

func TestWhatLiesBeyondTheRepositoryIsBuiltAsKustomizeDoes(t *testing.T) {
	t.Parallel()
	f := startFar(t)
	for name, text := range map[string]string{
		"a folder at a tag":           "resources: ['HOST/acme/bases.git//web?ref=v1.0.0']\n",
		"a folder after .git":         "resources: ['HOST/acme/bases.git/web?ref=v1.0.0&timeout=90s']\n",
		"no .git":                     "resources: ['HOST/acme/bases//common']\n",
		"the root, by owner and name": "resources: ['HOST/acme/bases']\n",
		"git::":                       "resources: ['git::HOST/acme/bases.git?version=main']\n",
		"a branch with a slash":       "resources: ['HOST/acme/bases.git//web?ref=feature/x']\n",
		"a commit":                    "resources: ['HOST/acme/bases.git//web?ref=FIRST']\n",
		"a whole ref":                 "resources: ['HOST/acme/bases.git//common?ref=refs/heads/main']\n",
		"bases of bases":              "resources: ['HOST/acme/bases.git//nested']\n",
		"a component":                 "resources: ['HOST/acme/bases.git//web']\ncomponents: ['HOST/acme/bases.git//component?ref=v1.0.0']\n",
		"two revisions":               "resources: ['HOST/acme/bases.git//web?ref=v1.0.0', 'HOST/acme/bases.git//nested']\nnamespace: shop\n",
		"a file":                      "resources: [HOST/files/two.yaml, ../base]\n",
		"files":                       "resources: ['HOST/acme/bases.git//web']\npatches:\n- path: HOST/files/patch.yaml\n  target: {kind: Deployment}\nconfigMapGenerator:\n- name: x\n  files: [HOST/files/plain.txt, 'other.txt=HOST/files/plain.txt']\nconfigurations: [HOST/files/names.yaml]\n",
		"a generator":                 "resources: [../base]\ngenerators: [HOST/files/gen.yaml]\n",
		"an alias":                    "resources: [&a HOST/files/plain.yaml]\nconfigMapGenerator:\n- {name: conf, files: [*a]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("HOST", f.URL, "FIRST", f.first).Replace(text)
			files := repo("app/kustomization.yaml", text, "base/kustomization.yaml", "resources: [cm.yaml]\n", "base/cm.yaml", strings.ReplaceAll(farMap, "far", "near"))
			got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app", Bases: f.source(t, "HOST/**")})
			if err != nil {
				t.Fatal(err)
			}
			want := sortedStream(kustomizeBuild(t, files, "app"))
			if !slices.Equal(documents(got.Objects), want) {
				t.Errorf("got:\n%s\n\nwant:\n%s", strings.Join(documents(got.Objects), "\n---\n"), strings.Join(want, "\n---\n"))
			}
			for _, input := range got.Inputs {
				if strings.Contains(input, "remote") {
					t.Errorf("an input is not of the repository: %s", input)
				}
			}
			if exact := strings.Contains(text, f.first); exact != (len(got.Moving) == 0) {
				t.Errorf("moving: %q", got.Moving)
			}
		})
	}
}

func TestAComponentThatAnApplicationAddsMayLieBeyondTheRepository(t *testing.T) {
	t.Parallel()
	f := startFar(t)
	got, err := render.Render(t.Context(), render.Request{
		FS: repo("app/deployment.yaml", deployment), Path: "app", Bases: f.source(t, "HOST/**"),
		Kustomize: &api.KustomizeSource{Components: []string{f.URL + "/acme/bases.git//component?ref=v1.0.0"}},
	})
	if err != nil || len(got.Objects) != 1 || !strings.Contains(string(got.Objects[0].Raw), "replicas: 9") {
		t.Errorf("%q, %v", got.Objects, err)
	}
}

func TestWhatCantBeBroughtIsTold(t *testing.T) {
	t.Parallel()
	f := startFar(t)
	everything := []string{"HOST/**"}
	gone := gitrepotest.Start(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	})
	for name, tt := range map[string]struct {
		text   string
		allow  []string
		reason render.Reason
		want   string
		is     error
	}{
		"nothing is allowed":  {"resources: ['HOST/acme/bases.git//web']\n", []string{"github.com/**"}, render.ReasonUnsupported, "app/kustomization.yaml:1", bases.ErrNotAllowed},
		"another is allowed":  {"resources:\n- 'HOST/acme/bases.git//web'\n", []string{"HOST/acme/other"}, render.ReasonUnsupported, "app/kustomization.yaml:2", bases.ErrNotAllowed},
		"a base of a base":    {"resources: ['HOST/acme/bases.git//nested']\n", []string{"HOST/acme/bases"}, render.ReasonUnsupported, "/acme/bases@HEAD/nested/kustomization.yaml:2", bases.ErrNotAllowed},
		"plain http":          {"resources: ['HOST/acme/bases.git//web']\n", []string{strings.TrimPrefix(f.URL, "http://") + "/**"}, render.ReasonUnsupported, "plain http", bases.ErrNotAllowed},
		"no such tag":         {"resources: ['HOST/acme/bases.git//web?ref=v2.0.0']\n", everything, render.ReasonBase, "v2.0.0 is neither a tag nor a branch", bases.ErrMissing},
		"no such commit":      {"resources: ['HOST/acme/bases.git//web?ref=" + strings.Repeat("1", 40) + "']\n", everything, render.ReasonBase, "none of its branches has it", bases.ErrMissing},
		"no such repository":  {"resources: ['HOST/acme/none.git//web']\n", everything, render.ReasonBase, "none.git//web", bases.ErrMissing},
		"no such folder":      {"resources: ['HOST/acme/bases.git//wep?ref=v1.0.0']\n", everything, render.ReasonBuild, "has no folder wep", nil},
		"no such file":        {"resources: [HOST/files/none.yaml]\n", everything, render.ReasonBase, "files/none.yaml", bases.ErrMissing},
		"a file of a folder":  {"patches:\n- path: 'ssh://git@HOSTNAME/acme/bases.git//web'\n  target: {kind: Deployment}\n", everything, render.ReasonBuild, "", nil},
		"it leaves":           {"resources: ['HOST/acme/bases.git//out']\n", everything, render.ReasonUnsupported, "acme/bases@HEAD/out/kustomization.yaml:1: \"../../../secret\" leaves its repository", nil},
		"its folder leaves":   {"resources: ['HOST/acme/bases.git//../x']\n", everything, render.ReasonBase, "", nil},
		"a secret in it":      {"resources: ['http://me:hunter2@HOSTNAME/acme/bases.git']\n", everything, render.ReasonUnsupported, "credentials belong in the config", bases.ErrBad},
		"ssh without a key":   {"resources: ['git@HOSTNAME:acme/bases.git']\n", []string{"**"}, render.ReasonBase, "by SSH", bases.ErrUnauthorized},
		"another scheme":      {"resources: ['s3://bucket/x']\n", []string{"**"}, render.ReasonUnsupported, "none of https, http and ssh", bases.ErrBad},
		"a file on this disk": {"resources: ['file:///etc/passwd']\n", []string{"**"}, render.ReasonUnsupported, "none of https, http and ssh", bases.ErrBad},
		"the host is away":    {"resources: [" + gone.URL + "/acme/x.git]\n", []string{gone.URL + "/**"}, render.ReasonBase, "can't be reached", bases.ErrAway},
		"within a patch":      {"resources: [../base]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  path: HOST/files/patch.yaml\n  target: {kind: ConfigMap}\n", everything, render.ReasonUnsupported, "remote resource", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("HOSTNAME", "127.0.0.1", "HOST", f.URL).Replace(tt.text)
			files := repo("app/kustomization.yaml", text, "secret/kustomization.yaml", "resources: [cm.yaml]\n", "secret/cm.yaml", farMap, "base/kustomization.yaml", "resources: [cm.yaml]\n", "base/cm.yaml", farMap)
			got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app", Bases: f.source(t, slices.Clone(tt.allow)...)})
			fault, ok := errors.AsType[*render.Error](err)
			if !ok || fault.Reason != tt.reason || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v (%+v)", err, fault)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("a secret is told: %v", err)
			}
			if !slices.Contains(got.Inputs, "app/kustomization.yaml") || len(got.Objects) > 0 {
				t.Errorf("%q of %q", got.Objects, got.Inputs)
			}
		})
	}
}

// counted counts how often a source is asked.
type counted struct {
	bases.Source
	asked map[string]int
}

func (c counted) Base(ctx context.Context, a bases.Address, files bool) (bases.Base, error) {
	c.asked[a.String()]++
	return c.Source.Base(ctx, a, files)
}

func TestABuildNamesOnlySoMuchBeyondTheRepository(t *testing.T) {
	t.Parallel()
	f := startFar(t)
	var list strings.Builder
	for i := range 101 {
		fmt.Fprintf(&list, "- %s/files/cm.yaml?n=%d\n", f.URL, i)
	}
	c := counted{f.source(t, "HOST/**"), map[string]int{}}
	_, err := render.Render(t.Context(), render.Request{FS: repo("app/kustomization.yaml", "resources:\n"+list.String()), Path: "app", Bases: c})
	fault, ok := errors.AsType[*render.Error](err)
	if !ok || fault.Reason != render.ReasonTooLarge || fault.Line != 102 {
		t.Errorf("%v", err)
	}
	if address := f.URL + "/files/cm.yaml"; c.asked[address] != 100 {
		t.Errorf("asked: %v", c.asked)
	}
}
