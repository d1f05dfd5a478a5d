package e2e_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// cmdChart packs a folder of the script and brings it to where charts are: chart
// push shelf 1.0.0 DIR to the registry, chart publish shelf 1.0.0 DIR to a chart
// repository at $CHARTS, which wants maria and her password. chart publish
// alone starts that.
func cmdChart(ts *testscript.TestScript, _ bool, args []string) {
	s := world(ts)
	if s.charts == nil {
		s.charts = parts.StartChartRepository("maria", "chart-password")
		ts.Setenv("CHARTS", s.charts.URL)
		ts.Setenv("CHARTS_HOST", strings.TrimPrefix(s.charts.URL, "http://"))
	}
	if len(args) == 1 {
		return
	}
	chart, version, dir := args[1], args[2], ts.MkAbs(args[3])
	files := map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: " + chart + "\nversion: " + version + "\n")}
	check(ts, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		within, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(within)], err = os.ReadFile(name)
		return err
	}))
	archive, err := parts.PackChart(chart, files)
	check(ts, err)
	switch args[0] {
	case "push":
		digest, err := parts.PushChart(context.Background(), s.w.Registry.Addr, "charts/"+chart, version, archive)
		check(ts, err)
		ts.Setenv("DIGEST", digest)
	case "publish":
		s.charts.Publish(chart, version, archive)
	default:
		ts.Fatalf("chart: unknown %s", args[0])
	}
}
