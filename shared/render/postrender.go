package render

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

// Kustomize as the post-renderer of a chart, as Flux' HelmRelease has it: what the
// chart gives is the one resource of a kustomization.

// chartOutput is the file below [remoteDir] in which kustomize finds what a chart gives.
const chartOutput = "chart.yaml"

// postRender puts what a chart gives through a kustomization of the fields. The chart's
// folder crds stays as it is: Helm shows it to no post-renderer.
func postRender(ctx context.Context, src *source, dir string, chart Result, fields *api.KustomizeSource) (Result, error) {
	if !adds(fields) {
		return chart, nil
	}
	if err := errors.Join(duplicates(chart.Objects)...); err != nil { // kustomize knows no file of them
		return chart, err
	}
	file, err := src.kustomization(dir)
	if err != nil {
		return chart, err
	}
	if file == "" {
		file = path.Join(dir, kustomizationNames[0])
	}
	files := newRepository(ctx, src)
	given := slices.DeleteFunc(slices.Clone(chart.Objects), func(o Object) bool { return o.apart })
	all, err := files.overChart(dir, file, given, fields)
	chart.Inputs = append(chart.Inputs, slices.DeleteFunc(files.used(), func(name string) bool { return name == file })...)
	chart.Moving = append(chart.Moving, files.moving()...)
	if err != nil {
		return chart, notIn(file, dir, err)
	}
	if err := src.count(dir, max(len(all)-len(given), 0)); err != nil {
		return chart, err
	}
	chart.Objects = slices.DeleteFunc(chart.Objects, func(o Object) bool { return !o.apart })
	own := len(chart.Objects)
	for _, b := range all {
		o, ok, err := b.object(dir)
		if err != nil {
			return chart, err
		}
		if ok {
			chart.Objects = append(chart.Objects, o.after(b.Of, given))
		}
	}
	files.markVaries(chart.Objects[own:])
	order(chart.Objects)
	return chart, nil
}

// overChart builds the kustomization that has a chart's objects, in their order. It
// stands in the place of the path's own, which is none of the chart's business, since
// the fields' paths are relative to it.
func (r *repository) overChart(dir, file string, given []Object, fields *api.KustomizeSource) ([]built, error) {
	r.forced, r.forcedOn = fields.Namespace, file
	whole := map[string]any{"sortOptions": map[string]any{"order": "fifo"}}
	if len(given) > 0 { // kustomize takes no empty file
		name := path.Join(remoteDir, chartOutput)
		r.written[path.Join(dir, name)] = chartStream(given)
		r.named = append(r.named, path.Join(dir, name))
		whole["resources"] = []any{name}
	}
	if err := r.addTo(file, whole, fields); err != nil {
		return nil, tell(err)
	}
	return r.build(r.ctx, dir, file, anywhere(fields))
}

// notIn blames the directory for faults of the kustomization that was made up for it.
func notIn(file, dir string, err error) error {
	return eachError(err, func(known Error) *Error {
		if known.File == file {
			known.File, known.Line = dir, 0
		}
		return &known
	})
}

// mark is a field beside metadata, of no kind, by which an object is known again when
// kustomize has renamed it. Patches of annotations neither see it nor take it away.
const mark = "x-slipway-object"

// chartStream writes objects for kustomize, each with its place, from 1.
func chartStream(objects []Object) []byte {
	var text bytes.Buffer
	for i, o := range objects {
		m := maps.Clone(o.Map)
		m[mark] = i + 1
		writeObject(&text, m)
	}
	return text.Bytes()
}

// unmark takes an object's mark away; 0 for none.
func unmark(o *yaml.RNode) (int, error) {
	n, err := o.Pipe(yaml.Clear(mark))
	if err != nil || n == nil {
		return 0, err
	}
	return strconv.Atoi(n.YNode().Value)
}

// after gives an object what is known of that of the chart that it was made of. One
// that has lost its mark, by a patch of all of it, is known by its name.
func (o Object) after(of int, given []Object) Object {
	if of == 0 {
		of = 1 + slices.IndexFunc(given, func(g Object) bool { return g.ID == o.ID })
	}
	if of < 1 || of > len(given) {
		return o
	}
	was := given[of-1]
	o.File, o.Varies, o.Kept, o.rewritten = was.File, was.Varies, was.Kept, true
	return o
}
