package manifest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/render"
)

// shelf has versions of a chart, and gives the next one each time, as a
// repository into which somebody pushes.
type shelf struct {
	archives []charts.Archive
	asked    int
}

func (s *shelf) Chart(_ context.Context, ref api.ChartRef) (charts.Archive, error) {
	if ref.Name != "web" {
		return charts.Archive{}, charts.ErrMissing
	}
	s.asked++
	return s.archives[min(s.asked, len(s.archives))-1], nil
}

// packed makes an archive of files below a folder.
func packed(t *testing.T, files map[string]string) charts.Archive {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))})
		if _, writeErr := w.Write([]byte(files[name])); err != nil || writeErr != nil {
			t.Fatal(err, writeErr)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return charts.Archive{Name: "web", Version: "0.1.0", Data: b.Bytes()}
}

func TestTheValuesOfAChartFromElsewhereAreEdited(t *testing.T) {
	const pinned = "1.1.0@DIGEST"
	outer := map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: web, version: 0.1.0, alias: front}]\n"}
	for name, c := range map[string]struct {
		chart, files map[string]string
		want         string // of apps/web/v.yaml
	}{
		"a tag":                           {chart("web", created), map[string]string{"apps/web/v.yaml": "image: {tag: 1.0.0} # now\n"}, "image: {tag: " + pinned + "} # now\n"},
		"what the chart says is overlaid": {chart("web", created), map[string]string{"apps/web/v.yaml": "replicas: 2\n"}, "replicas: 2\nimage:\n  tag: " + pinned + "\n"},
		"of a subchart":                   {with(chart("web/charts/inner", created), outer), map[string]string{"apps/web/v.yaml": "front:\n  replicas: 2\n"}, "front:\n  image:\n    tag: " + pinned + "\n  replicas: 2\n"},
		"files that look like the chart's are not it": {
			chart("web", created), map[string]string{"apps/web/v.yaml": "image: {tag: 1.0.0}\n", "apps/web/values.yaml": "image: {repository: ghcr.io/acme/web, tag: 1.0.0}\n"}, "image: {tag: " + pinned + "}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			digest := "sha256:" + strings.Repeat("2", 64)
			s := &shelf{archives: []charts.Archive{packed(t, c.chart), packed(t, map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 9.0.0\n"})}}
			f := manifest.Folder{FS: tree(c.files), Path: "apps/web", Charts: s, Helm: render.Release{
				Remote: api.ChartRef{Repository: "oci://ghcr.io/acme", Name: "web", Version: "*"}, ValuesFiles: []string{"v.yaml"},
			}}
			image := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: "1.1.0", Digest: digest}
			files, err := f.Promote(t.Context(), []events.Image{image})
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(c.want, "DIGEST", digest); len(files) != 1 || string(files["apps/web/v.yaml"]) != want {
				t.Errorf("files %q, want\n%s", files, want)
			}
			if s.asked != 1 {
				t.Errorf("the chart was asked for %d times: before and after the edit it must be the same", s.asked)
			}
		})
	}
	f := manifest.Folder{FS: fstest.MapFS{"apps/web/x": {}}, Path: "apps/web", Charts: &shelf{}, Helm: render.Release{Remote: api.ChartRef{Repository: "oci://ghcr.io/acme", Name: "none", Version: "*"}}}
	if _, err := f.Promote(t.Context(), nil); !errors.Is(err, charts.ErrMissing) {
		t.Error(err)
	}
}
