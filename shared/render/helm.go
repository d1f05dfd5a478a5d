package render

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// Release says how a chart is rendered. The zero value is what `helm template`
// does with the path.
type Release struct {
	// Chart is the chart's folder, or its packed file (.tgz), relative to the
	// path; empty: the path itself, if it has a Chart.yaml.
	Chart string
	// Remote is a chart that lies elsewhere, in place of Chart; Request.Charts
	// brings it.
	Remote api.ChartRef
	// ReleaseName and Namespace are those of the release; empty:
	// "release-name" and "default".
	ReleaseName, Namespace string
	// ValuesFiles are relative to the path, each over those before.
	ValuesFiles []string
	// IgnoreMissing goes on without those that aren't there.
	IgnoreMissing bool
	// ValuesFrom are values of a cluster, over all files: mappings in order below
	// Values, and what has a TargetPath in order over them.
	ValuesFrom []ClusterValues
	// Values are over all files and mappings.
	Values map[string]any
	// KubeVersion is what a chart takes for the cluster's; empty:
	// [DefaultKubeVersion].
	KubeVersion string
	// APIVersions are what a chart finds beside Kubernetes' own.
	APIVersions []string
	// SkipCRDs leaves the folders crds out.
	SkipCRDs bool
	// Tests makes hooks of [HookTest] of the chart's tests, which are left out
	// otherwise. The annotation that says so is put into their documents.
	Tests bool
}

// DefaultKubeVersion is what `helm template` 4.3 tells charts.
const DefaultKubeVersion = "v1.37.0"

const (
	chartFile = "Chart.yaml"
	packed    = ".tgz"
)

// wanted says that the settings are for a chart, whatever the path is.
func (h Release) wanted() bool {
	return h.remote() || h.Chart != "" || len(h.ValuesFiles) > 0 || len(h.ValuesFrom) > 0 || len(h.Values) > 0
}

// piece is what helm prints between two separators of its own.
type piece struct {
	File  string // the template's path in the repository
	Text  []byte // without the separator
	CRD   bool   // of the folder crds: may hold several documents
	Hook  bool
	Apply bool // false: a hook for what Slipway doesn't do by itself
	Test  bool // a hook that is for nothing but a test
	// Varies says that it is another at each render.
	Varies bool
	// Kept says that it is there only as long as the chart's lookups don't find it.
	Kept bool
}

// renderChart gives what `helm template --include-crds` prints.
func renderChart(ctx context.Context, src *source, dir string, h Release) (Result, error) {
	result := Result{Kind: Helm}
	chart := path.Join(dir, h.Chart)
	if h.remote() {
		chart = h.Remote.Name
	} else {
		result.Inputs = append(result.Inputs, chart)
	}
	j := job{
		Chart: chart, ReleaseName: cmp.Or(h.ReleaseName, "release-name"), Namespace: cmp.Or(h.Namespace, "default"),
		KubeVersion: cmp.Or(h.KubeVersion, DefaultKubeVersion), APIVersions: h.APIVersions, Limits: src.limits,
		ValuesFrom: h.ValuesFrom,
	}
	for _, v := range h.ValuesFrom {
		src.masks.add(v.secrets()...)
	}
	var faults []error
	for _, name := range h.ValuesFiles {
		at := path.Join(dir, name)
		result.Inputs = append(result.Inputs, at)
		if h.IgnoreMissing && src.missing(at) {
			continue
		}
		data, err := valuesFile(src, at)
		if err != nil {
			faults = append(faults, err)
		}
		j.ValuesFiles = append(j.ValuesFiles, file{at, data})
	}
	if err := j.read(ctx, src, h); err != nil {
		faults = append(faults, err)
	}
	if len(h.Values) > 0 {
		var err error
		if j.Values, err = json.Marshal(h.Values); err != nil {
			faults = append(faults, &Error{File: chart, Reason: ReasonInvalid, Message: "the application's values: " + err.Error(), Err: err})
		}
	}
	if len(faults) > 0 {
		return result, errors.Join(faults...)
	}
	j.Used, j.Cluster = src.bytes, src.cluster != nil
	asked := newAnswering(src.cluster, src)
	pieces, err := inflate(ctx, j, asked)
	result.Asked = asked.asked()
	if err != nil {
		return result, err
	}
	if h.SkipCRDs {
		pieces = slices.DeleteFunc(pieces, func(p piece) bool { return p.CRD })
	}
	for i := range pieces {
		pieces[i].Apply = pieces[i].Apply || h.Tests && pieces[i].Test
	}
	result.Objects, err = chartObjects(src, pieces)
	order(result.Objects)
	return result, err
}

func valuesFile(src *source, name string) ([]byte, error) {
	switch {
	case !fs.ValidPath(name):
		return nil, &Error{
			File: name, Reason: ReasonPath, Message: "the values file is not inside the repository",
			Help: "write it relative to the application's path, without leaving the repository",
		}
	case !src.isFile(name):
		return nil, &Error{
			File: name, Reason: ReasonPath, Message: "the values file is not in the repository",
			Help: "check helm.valuesFiles: paths are relative to the application's path, and links are not followed", Err: fs.ErrNotExist,
		}
	}
	data, err := src.read(name)
	if err == nil && src.sealed {
		data, err = withoutKeys(name, data)
	}
	return data, err
}

// inflate lets a child render.
func inflate(ctx context.Context, j job, asked *answering) ([]piece, error) {
	answer, err := runJob(ctx, j, asked.answers(ctx))
	if err != nil {
		err = childError("the chart", path.Join(j.Chart, chartFile), err)
	}
	return answer.Pieces, asked.over(err)
}

// chartObjects are the objects of what helm prints.
func chartObjects(src *source, pieces []piece) ([]Object, error) {
	var objects []Object
	var faults []error
	own := map[ID]bool{} // what isn't a hook
	definitions := map[ID]bool{}
	there := map[ID]bool{}
	for _, p := range pieces {
		if !p.Apply {
			continue
		}
		found, err := p.objects(src)
		if p.Kept {
			objects = append(objects, keptOf(found, err, p, there)...)
			continue
		}
		if err != nil {
			faults = append(faults, err)
		}
		for _, o := range found {
			there[o.ID] = true
			// What Helm makes twice is kept in sync once: a hook that is also
			// an object, a CRD of a chart that is there under two names.
			if p.Hook && own[o.ID] || p.CRD && definitions[o.ID] {
				continue
			}
			definitions[o.ID] = definitions[o.ID] || p.CRD
			own[o.ID] = own[o.ID] || !p.Hook
			o.Varies, o.apart = p.Varies, p.CRD
			objects = append(objects, o)
		}
		if len(faults) >= maxFaults {
			break
		}
	}
	return objects, errors.Join(faults...)
}

// keptOf are the objects of a piece that is kept which are not there otherwise.
// It isn't what is applied: no fault of it counts.
func keptOf(found []Object, fault error, p piece, there map[ID]bool) []Object {
	var kept []Object
	for _, o := range found {
		if _, err := o.turn(); fault == nil && err == nil && !there[o.ID] {
			there[o.ID] = true
			o.Varies, o.Kept = p.Varies, true
			kept = append(kept, o)
		}
	}
	return kept
}

// objects are those of a piece. Its first line is helm's comment, so that the
// lines of a CRD's file are known; of a template's output they say nothing.
func (p piece) objects(src *source) ([]Object, error) {
	docs := []document{{raw: p.Text, line: 1}}
	if p.CRD {
		docs = split(p.Text)
	}
	var objects []Object
	for _, d := range docs {
		d.printed = true
		found, err := d.objects(src, p.File)
		if err == nil && p.Test {
			found, err = d.tests(p.File, found)
		}
		if e, ok := errors.AsType[*Error](err); ok {
			e.Line = p.line(e.Line)
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	for i := range objects {
		objects[i].Line = p.line(objects[i].Line)
	}
	return objects, nil
}

// tests says in a document that it is run as a test.
func (d document) tests(file string, found []Object) ([]Object, error) {
	var all []Object
	for _, o := range found {
		meta, _ := o.Map["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil { // of an entry of a list
			annotations = map[string]any{}
		}
		annotations[hookAnnotation] = string(HookTest)
		meta["annotations"] = annotations
		marked, err := d.rewritten(file, o.ID, o.Map)
		if err != nil {
			return nil, err
		}
		all = append(all, marked)
	}
	return all, nil
}

func (p piece) line(n int) int {
	if p.CRD && path.Ext(p.File) != packed {
		return max(n-1, 0)
	}
	return 0
}

// chart reads the files of the chart.
func (j *job) chart(ctx context.Context, src *source) error {
	info := src.stat(j.Chart)
	switch {
	case !fs.ValidPath(j.Chart):
		return &Error{File: j.Chart, Reason: ReasonPath, Message: "the chart is not inside the repository", Help: "check helm.chart: it is relative to the application's path"}
	case info == nil:
		return &Error{
			File: j.Chart, Reason: ReasonPath, Message: "the chart is not in the repository",
			Help: "check helm.chart: it is relative to the application's path, and links are not followed", Err: fs.ErrNotExist,
		}
	case info.Mode().IsRegular() && path.Ext(j.Chart) == packed:
		data, err := src.readRaw(j.Chart)
		j.Packed, j.Files = true, []file{{path.Base(j.Chart), data}}
		return err
	case !src.isFile(path.Join(j.Chart, chartFile)):
		return &Error{
			File: path.Join(j.Chart, chartFile), Reason: ReasonPath, Message: "it is not in the repository, and Helm settings are given",
			Help: "name the chart's folder in helm.chart, or take the Helm settings away", Err: fs.ErrNotExist,
		}
	}
	files, err := chartFiles(ctx, src, j.Chart)
	j.Files = files
	return err
}

// longest is how much of an error of Helm's is told, in bytes.
const longest = 2000

// oneLine joins the lines of helm's errors. Of a long one the middle goes: a
// template that calls itself is told with every call.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if part := strings.TrimSpace(line); part != "" {
			parts = append(parts, part)
		}
	}
	text = strings.Join(slices.Compact(parts), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest/2]+" … "+text[len(text)-longest/2:], "")
	}
	return text
}

var bom = []byte("\xef\xbb\xbf")

// trimBOM is what Helm does to every file of a chart.
func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, bom) }
