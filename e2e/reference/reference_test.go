package reference_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/e2e/reference"
)

var update = flag.Bool("update", false, "write REFERENCE.md")

const root = "../.."

func TestTheReferenceIsFresh(t *testing.T) {
	packages, err := reference.Read(os.DirFS(root), "shared", "services")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := reference.Metrics(packages)
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string) []reference.Field {
		for _, p := range packages {
			if p.Folder == "shared/service" {
				fields, err := reference.Config(p, name)
				if err != nil {
					t.Fatal(err)
				}
				return fields
			}
		}
		t.Fatal("there is no config")
		return nil
	}
	page := reference.Page(metrics, of("Config"), of(reference.Credentials))
	file := filepath.Join(root, "REFERENCE.md")
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	is, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(is, page) {
		t.Error("REFERENCE.md is not what the code says: make generate writes it")
	}
}

// TestTheGuideSaysHowEachSecretIsChanged holds the operations guide against the
// config.
func TestTheGuideSaysHowEachSecretIsChanged(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(root, "deploy", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	packages, err := reference.Read(os.DirFS(root), "shared/service")
	if err != nil {
		t.Fatal(err)
	}
	fields, err := reference.Config(packages[0], "Config")
	if err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, f := range fields {
		if !strings.Contains(f.Type, "secret") && !strings.Contains(f.Type, "credentials") {
			continue
		}
		if secrets++; !strings.Contains(string(guide), "`"+f.Path+"`") {
			t.Errorf("deploy/OPERATIONS.md doesn't say how `%s` is changed", f.Path)
		}
	}
	if secrets < 10 {
		t.Errorf("the config has %d secrets", secrets)
	}
}

func read(t *testing.T, text string) reference.Package {
	t.Helper()
	packages, err := reference.Read(fstest.MapFS{"shared/x/x.go": {Data: []byte("package x\n" + text)}, "shared/x/x_test.go": {Data: []byte("no Go")}}, "shared")
	if err != nil {
		t.Fatal(err)
	}
	return packages[0]
}

func TestMetricsAreFoundHoweverTheyAreMade(t *testing.T) {
	t.Parallel()
	p := read(t, `
var a = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "slipway_a_total", Help: "One " + "help.", ConstLabels: prometheus.Labels{"service": name}}, []string{"source"})
var b = prometheus.NewDesc("slipway_b", "B.", []string{"queue"}, nil)
var c = gauge("slipway_c_seconds", "C.", count)
var d = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "slipway_d_seconds", Help: "D.", Buckets: buckets})
`)
	got, err := reference.Metrics([]reference.Package{p})
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []string{"slipway_a_total counter service source One help.", "slipway_b gauge queue B.", "slipway_c_seconds gauge C.", "slipway_d_seconds histogram D."} {
		m := got[i]
		if text := strings.Join(append(append([]string{m.Name, m.Kind}, m.Labels...), m.Help), " "); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
	for _, text := range []string{`const name = "slipway_hidden"`, `var a = prometheus.NewGauge(prometheus.GaugeOpts{Name: "slipway_unsaid"})`} {
		if _, err := reference.Metrics([]reference.Package{read(t, text)}); err == nil || !strings.Contains(err.Error(), "shared/x") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFieldsOfTheConfigHaveTheirWords(t *testing.T) {
	t.Parallel()
	got, err := reference.Config(read(t, `
// Config is all.
type Config struct {
	// Name is a name
	// of two lines.
	Name  string        `+"`yaml:\"name\"`"+`
	Wait  time.Duration `+"`yaml:\"wait\"`"+` // default 5m
	Hosts []*Host       `+"`yaml:\"hosts\"`"+`
	From  string        `+"`yaml:\"-\"`"+`
}
// Host is a host.
type Host struct {
	Token map[string]Secret `+"`yaml:\"token\"`"+` // proves us
}
// Secret is one.
type Secret struct { File string }
`), "Config")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range got {
		lines = append(lines, f.Path+": "+f.Type+": "+f.Doc)
	}
	want := "name: text: Name is a name of two lines.\nwait: duration: default 5m\nhosts: list of section: Host is a host.\nhosts[].token: map to secret: file or env: proves us"
	if strings.Join(lines, "\n") != want {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
	if _, err := reference.Config(read(t, "type Config struct{ Name string `yaml:\"name\"` }"), "Config"); err == nil || !strings.Contains(err.Error(), "name") {
		t.Errorf("a field without a word: %v", err)
	}
}
