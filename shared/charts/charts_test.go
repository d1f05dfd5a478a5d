package charts_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
)

const blockIndex = `# made by hand
apiVersion: v1
entries:
  alpine:
  - version: 9.9.9
    urls: [alpine-9.9.9.tgz]
  redis:
    - apiVersion: v2
      annotations:
        note: |
          redis:
          - version: 6.6.6

          entries:
      description: 'it is
        redis: here'
      digest: 1111111111111111111111111111111111111111111111111111111111111111
      urls:
      - redis-1.2.3.tgz
      # the same, elsewhere
      - https://mirror.example.com/redis-1.2.3.tgz
      version: 1.2.3
    - version: "1.2"
      urls: []
  "redis-ha":
  - {version: 2.0.0, urls: [ha.tgz]}
  none: []
generated: "2026-01-01T00:00:00Z"
`

func TestWhatAnIndexSaysOfOneChart(t *testing.T) {
	t.Parallel()
	redis := []charts.Entry{
		{Version: "1.2.3", Digest: strings.Repeat("1", 64), URLs: []string{"redis-1.2.3.tgz", "https://mirror.example.com/redis-1.2.3.tgz"}},
		{Version: "1.2", URLs: []string{}},
	}
	ha := []charts.Entry{{Version: "2.0.0", URLs: []string{"ha.tgz"}}}
	for name, c := range map[string]struct {
		index, chart string
		want         []charts.Entry
	}{
		"a block":                       {blockIndex, "redis", redis},
		"with CRLF":                     {strings.ReplaceAll(blockIndex, "\n", "\r\n"), "redis", redis},
		"a name in quotes, a flow list": {blockIndex, "redis-ha", ha},
		"no versions":                   {blockIndex, "none", nil},
		"no such chart":                 {blockIndex, "red", nil},
		"no charts":                     {"apiVersion: v1\nentries: {}\n", "redis", nil},
		"a list without indent":         {"entries:\n  redis-ha:\n  - version: 2.0.0\n    urls:\n    - ha.tgz\n", "redis-ha", ha},
		"after a line of a document":    {"---\nentries:\n  redis-ha:\n  - {version: 2.0.0, urls: [ha.tgz]}\n", "redis-ha", ha},
		"JSON":                          {`{"apiVersion":"v1","entries":{"x":[{"version":"0"}],"redis-ha":[{"version":"2.0.0","urls":["ha.tgz"],"more":{"a":[1]}}]},"serverInfo":{}}`, "redis-ha", ha},
		"flow":                          {"{apiVersion: v1, entries: {redis-ha: [{version: 2.0.0, urls: [ha.tgz]}]}}", "redis-ha", ha},
		"flow below a block":            {"apiVersion: v1\nentries: {redis-ha: [{version: 2.0.0, urls: [ha.tgz]}]}\n", "redis-ha", ha},
		"an anchor elsewhere":           {"entries:\n  a:\n  - &x {version: 2.0.0, urls: [ha.tgz]}\n  redis-ha:\n  - *x\n", "redis-ha", ha},
	} {
		got, err := charts.Entries(strings.NewReader(c.index), c.chart)
		if len(got)+len(c.want) > 0 && !reflect.DeepEqual(normal(got), normal(c.want)) || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, index := range map[string]string{"nothing": " \n", "a page": "<html>\n<body>gone</body></html>", "text": "not found", "a list for entries": "entries: [a]\n", "no list for a chart": "entries:\n  redis: {a: b}\n"} {
		if got, err := charts.Entries(strings.NewReader(index), "redis"); !errors.Is(err, charts.ErrBad) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func normal(all []charts.Entry) []charts.Entry {
	all = slices.Clone(all)
	for i := range all {
		if len(all[i].URLs) == 0 {
			all[i].URLs = nil
		}
	}
	return all
}

// What the lines of one chart say is what a parser of YAML reads of them.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{blockIndex, "entries:\n  redis:\n  - version: 1\n", `{"entries":{"redis":[{"version":"1"}]}}`, "entries:\n- a\n", "entries:\n  redis: &a\n  - version: |\n   x\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, index string) {
		got, err := charts.Entries(strings.NewReader(index), "redis")
		var all struct {
			Entries map[string][]charts.Entry `yaml:"entries"`
		}
		if err != nil || yaml.Unmarshal([]byte(index), &all) != nil || strings.HasPrefix(strings.TrimSpace(index), "{") {
			return // Go reads the keys of JSON in any case
		}
		if want := all.Entries["redis"]; len(got)+len(want) > 0 && !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("%q: %+v, and YAML has %+v", index, got, want)
		}
	})
}

func TestWhichVersionIsMeant(t *testing.T) {
	t.Parallel()
	all := []string{"2.0.0", "1.10.0", "v1.9.0", "1.2.3", "1.2.3+b1", "2.1.0-rc.1", "latest", "1.4"}
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "1.2.3+b1": "1.2.3+b1", "v1.2.3": "1.2.3", "1.9.0": "v1.9.0", "1.x": "1.10.0", "~1.9": "v1.9.0", ">=1 <2": "1.10.0",
		"*": "2.0.0", ">=2.1.0-0": "2.1.0-rc.1", "1.4": "1.4", "3.x": "", "9.9.9": "",
	} {
		i, err := charts.Choose(all, api.ChartRef{Name: "redis", Version: version})
		if want == "" {
			if !errors.Is(err, charts.ErrMissing) {
				t.Errorf("%s: %v", version, err)
			}
			continue
		}
		if err != nil || all[i] != want {
			t.Errorf("%s: %d, %v, want %s", version, i, err, want)
		}
	}
	if _, err := charts.Choose(nil, api.ChartRef{Name: "redis", Version: "*"}); !errors.Is(err, charts.ErrMissing) || !strings.Contains(err.Error(), "there is no chart redis") {
		t.Error(err)
	}
}

// pack makes an archive of entries; their bytes are their names.
func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, h := range entries {
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnArchiveIsOneFolderOfFiles(t *testing.T) {
	t.Parallel()
	chart := tar.Header{Name: "web/Chart.yaml"}
	good := pack(t, tar.Header{Name: "web/", Typeflag: tar.TypeDir}, chart, tar.Header{Name: "./web/templates/a.yaml"}, tar.Header{Name: `web\charts\b\Chart.yaml`})
	files, err := charts.Files(good, 1<<20)
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if want := []string{"Chart.yaml", "templates/a.yaml", "charts/b/Chart.yaml"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
	for why, data := range map[string][]byte{
		"not packed by gzip":   []byte("<html>"),
		"is damaged":           good[:len(good)/2],
		"no folder with a":     pack(t, tar.Header{Name: "web/values.yaml"}),
		"has a link":           pack(t, chart, tar.Header{Name: "web/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		`link ("web/hard")`:    pack(t, chart, tar.Header{Name: "web/hard", Typeflag: tar.TypeLink, Linkname: "web/Chart.yaml"}),
		"no file":              pack(t, chart, tar.Header{Name: "web/pipe", Typeflag: tar.TypeFifo}),
		"leads outside":        pack(t, chart, tar.Header{Name: "web/../../a"}),
		`outside ("/web/a")`:   pack(t, chart, tar.Header{Name: "/web/a"}),
		`outside ("web/c:/a")`: pack(t, chart, tar.Header{Name: "web/c:/a"}),
		"outside of the chart": pack(t, tar.Header{Name: "Chart.yaml"}),
		"a chart is one":       pack(t, chart, tar.Header{Name: "api/Chart.yaml"}),
		"twice":                pack(t, chart, chart),
	} {
		if _, err := charts.Files(data, 1<<20); !errors.Is(err, charts.ErrBad) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := charts.Files(good, 20); !errors.Is(err, charts.ErrBad) || !strings.Contains(err.Error(), "larger than the limit") {
		t.Error(err)
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(pack(f, tar.Header{Name: "web/Chart.yaml"}, tar.Header{Name: "web/a/b"}))
	f.Add(pack(f, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 16
		files, err := charts.Files(data, most)
		if err != nil {
			if !errors.Is(err, charts.ErrBad) {
				t.Errorf("%v", err)
			}
			return
		}
		sum := 0
		for _, file := range files {
			sum += len(file.Data)
			if file.Name == "" || file.Name[0] == '/' || strings.Contains("/"+file.Name+"/", "/../") {
				t.Errorf("%q", file.Name)
			}
		}
		if sum > most {
			t.Errorf("%d bytes", sum)
		}
	})
}
