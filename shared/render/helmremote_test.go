package render_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/render"
)

// published is a chart that the real helm has packed, pushed and indexed.
type published struct {
	t                  *testing.T
	home, dir          string
	repository, images string // the two places
}

func publish(t *testing.T) *published {
	t.Helper()
	p := &published{t: t, home: t.TempDir(), dir: t.TempDir()}
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	site := httptest.NewServer(http.FileServer(http.Dir(p.dir)))
	t.Cleanup(images.Close)
	t.Cleanup(site.Close)
	p.repository, p.images = site.URL, "oci://"+strings.TrimPrefix(images.URL, "http://")+"/acme"
	return p
}

// helm runs the real one.
func (p *published) helm(args ...string) string {
	p.t.Helper()
	tool, err := helmTool()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), tool, args...)
	cmd.Dir, cmd.Env = p.dir, []string{"HOME=" + p.home, "PATH=" + os.Getenv("PATH")}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("helm %q: %v: %s%s", args, err, out, complaint.String())
	}
	return string(out)
}

// put packs a chart, pushes it, and writes the index anew.
func (p *published) put(name, version string, files fstest.MapFS) {
	p.t.Helper()
	from := p.t.TempDir()
	if files[name+"/Chart.yaml"] == nil {
		files = below(name, files)
	}
	write(p.t, files, from)
	p.helm("package", filepath.Join(from, name), "--version", version)
	p.helm("push", fmt.Sprintf("%s-%s.tgz", name, version), p.images, "--plain-http")
	p.helm("repo", "index", ".")
}

// source fetches as the synchronizer does.
func source(t *testing.T) charts.Source {
	t.Helper()
	return fetch.New(fetch.Options{Dir: t.TempDir()}).Source(func(ref api.ChartRef) fetch.Question { return fetch.Question{ChartRef: ref} })
}

func TestAChartFromElsewhereIsRenderedAsTheToolDoes(t *testing.T) {
	t.Parallel()
	p := publish(t)
	nested := merged(repo(
		"Chart.yaml", chartYAML+"dependencies:\n- {name: redis, version: \"7.x\"}\n",
		"values.yaml", "a: chart\n", ".helmignore", "*.secret\n", "not.secret", "x",
		"templates/cm.yaml", "\ufeff"+cmOf("{{ .Release.Name }}", "  v: {{ toJson .Values | quote }}\n  files: {{ .Files.Get \"not.secret\" | quote }}\n"),
	), below("charts/redis", redisChart()))
	p.put("web", "1.0.0", starter(t, "web"))
	p.put("web", "1.2.0", nested)
	p.put("web", "1.3.0-rc.1", nested)
	files := repo("apps/web/values.yaml", "a: file\nredis: {size: 3}\n")
	for _, from := range []string{p.repository, p.images} {
		for version, is := range map[string]string{"1.0.0": "1.0.0", "~1.2": "1.2.0", ">=1.0.0-0": "1.3.0-rc.1"} {
			args := []string{"template", "shop", "--include-crds", "--version", version, "-f", "values.yaml"}
			if from == p.repository {
				args = append(args, "web", "--repo", from)
			} else {
				args = append(args, from+"/web", "--plain-http")
			}
			write(t, fstest.MapFS{"values.yaml": files["apps/web/values.yaml"]}, p.dir)
			want := printed(p.helm(args...))
			got, err := render.Render(t.Context(), render.Request{
				FS: files, Path: "apps/web", Charts: source(t),
				Helm: render.Release{Remote: api.ChartRef{Repository: from, Name: "web", Version: version}, ReleaseName: "shop", ValuesFiles: []string{"values.yaml"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range got.Objects {
				if i := slices.Index(want, string(o.Raw)); i >= 0 {
					want = slices.Delete(want, i, i+1)
				} else {
					t.Errorf("%s of %s %s is not byte-equal:\n%q\nof\n%q", o.ID, from, version, o.Raw, want)
				}
				if !strings.HasPrefix(o.File, "web-"+is+".tgz/") {
					t.Errorf("%s is said to come from %s", o.ID, o.File)
				}
			}
			if len(want) > 0 || !slices.Equal(got.Inputs, []string{"apps/web/values.yaml"}) {
				t.Errorf("not rendered: %q; inputs %q", want, got.Inputs)
			}
		}
	}
}

func TestAFaultInAChartFromElsewhereHasItsPlace(t *testing.T) {
	t.Parallel()
	p := publish(t)
	p.put("web", "1.0.0", repo("Chart.yaml", chartYAML, "templates/cm.yaml", "a: b\nc: {{ required \"a color is needed\" .Values.none }}\nd: ${NONE}\n"))
	p.put("web", "1.1.0", repo("Chart.yaml", chartYAML, "templates/cm.yaml", cmOf("x", "  v: ${NONE}\n")))
	for _, c := range []struct {
		version string
		charts  charts.Source
		says    string
		reason  render.Reason
	}{
		{"1.0.0", source(t), "web-1.0.0.tgz/templates/cm.yaml:2: helm: a color is needed", render.ReasonBuild},
		{"1.1.0", source(t), "web-1.1.0.tgz/templates/cm.yaml: ", render.ReasonVariable},
		{"2.0.0", source(t), "web: chart web 2.0.0 of " + p.repository + ": it is not in the chart repository: chart web has no version 2.0.0", render.ReasonChart},
		{"1.0.0", nil, "and nothing is fetched here", render.ReasonUnsupported},
	} {
		got, err := render.Render(t.Context(), render.Request{
			FS: repo("x", ""), Path: ".", Charts: c.charts, Vars: map[string]string{},
			Helm: render.Release{Remote: api.ChartRef{Repository: p.repository, Name: "web", Version: c.version}},
		})
		fault, ok := errors.AsType[*render.Error](err)
		if !ok || fault.Reason != c.reason || !strings.Contains(err.Error(), c.says) || len(got.Objects) > 0 {
			t.Errorf("%s: %v, want %q", c.version, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := render.Render(ctx, render.Request{FS: repo("x", ""), Path: ".", Charts: source(t), Helm: render.Release{Remote: api.ChartRef{Repository: p.repository, Name: "web", Version: "1.0.0"}}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
