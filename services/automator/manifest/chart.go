package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// The values of a chart lie in layers: the chart's own, the values files, each
// over those before, and what the application says itself. Together they say
// which image is used; the field that counts is set in the last file that has
// it, or added to the last one that may be edited.

// layer is one of them.
type layer struct {
	name string
	// under is the subchart whose values they are, as a path of keys.
	under []string
	// text is nil for what is no file that may be edited.
	text *text
	doc  *yaml.Node // nil where it says nothing
	// added says that fields may be added: it is one of the values files.
	added bool
}

// isChart says whether the folder is rendered as a chart.
func (f Folder) isChart() bool {
	_, err := fs.Stat(f.FS, path.Join(f.chartDir(), "Chart.yaml"))
	return err == nil || f.Helm.Chart != "" || f.remote()
}

func (f Folder) chartDir() string { return path.Join(f.Path, f.Helm.Chart) }

// within says whether a file lies below the path.
func (f Folder) within(file string) bool {
	dir := path.Clean(f.Path)
	return dir == "." || strings.HasPrefix(file, dir+"/")
}

// promoteChart is [Folder.Promote] for a chart. What its templates name
// themselves is looked at only where its values don't do.
func (f Folder) promoteChart(ctx context.Context, images []events.Image, before []render.Object) (map[string][]byte, error) {
	f, err := f.withChart(ctx)
	if err != nil {
		return nil, err
	}
	written := f.asWritten(images)
	files, valuesErr := f.setValues(written)
	if valuesErr == nil {
		if err := f.proved(ctx, before, files, images); err == nil || ctx.Err() != nil {
			return files, err
		}
	}
	if files := f.setPostRenderer(ctx, written); len(files) > 0 {
		if err := f.proved(ctx, before, files, images); err == nil || ctx.Err() != nil {
			return files, err // values would change nothing
		}
	}
	r, err := f.setRest(ctx, written, files)
	if err != nil {
		return nil, err
	}
	if err := f.proved(ctx, before, r.Files, images); err != nil {
		return nil, errors.Join(append([]error{valuesErr, err}, r.Problems...)...)
	}
	return r.Files, nil
}

// proved renders the folder with files edited.
func (f Folder) proved(ctx context.Context, before []render.Object, files map[string][]byte, images []events.Image) error {
	after, err := render.Render(ctx, f.request(Overlay(f.FS, files)))
	if err != nil {
		return fmt.Errorf("%w: after the edit it doesn't render: %w", ErrUnsafe, err)
	}
	return Prove(before, after.Objects, images, f.Aliases)
}

// setPostRenderer edits the files by which the chart is post-rendered alone: what they
// set counts over the values.
func (f Folder) setPostRenderer(ctx context.Context, images []events.Image) map[string][]byte {
	if f.Kustomize == nil {
		return nil
	}
	r, err := f.set(ctx, images, f.postRenders)
	if err != nil || len(r.Problems) > 0 {
		return nil // they are told with the rest
	}
	return r.Files
}

// postRenders says whether a file is a patch, or of a component, by which the
// Application has the chart post-rendered.
func (f Folder) postRenders(file string) bool {
	return f.Kustomize != nil && (slices.ContainsFunc(f.Kustomize.Patches, func(p api.KustomizePatch) bool { return p.Path != "" && path.Join(f.Path, p.Path) == file }) ||
		slices.ContainsFunc(f.Kustomize.Components, func(c string) bool { return strings.HasPrefix(file, path.Join(f.Path, c)+"/") }))
}

// setRest edits what a chart's templates say themselves, and what Flux's
// markers mark in its values. Values files that other applications use are
// none of the chart's business.
func (f Folder) setRest(ctx context.Context, images []events.Image, edited map[string][]byte) (Result, error) {
	within := f
	within.FS = Overlay(f.FS, edited)
	r, err := within.set(ctx, images, func(file string) bool {
		inChart := !f.remote() && strings.HasPrefix(file, f.chartDir()+"/") || !f.remote() && f.chartDir() == "."
		inner := strings.TrimPrefix(file, f.chartDir()+"/")
		return inChart && (strings.HasPrefix(inner, "templates/") || strings.HasPrefix(inner, "crds/") || inner == "values.yaml") ||
			slices.ContainsFunc(f.Helm.ValuesFiles, func(v string) bool { return path.Join(f.Path, v) == file }) || f.postRenders(file)
	})
	for name, data := range edited {
		if _, again := r.Files[name]; !again && err == nil {
			r.Files[name] = data
		}
	}
	return r, err
}

// setValues edits the chart's values. With an error nothing is edited.
func (f Folder) setValues(images []events.Image) (map[string][]byte, error) {
	layers, err := f.layers()
	if err != nil {
		return nil, err
	}
	merged, err := mergedValues(layers)
	if err != nil {
		return nil, err
	}
	e := editor{name: "values", images: images, aliases: f.Aliases, policies: newPolicies()}
	found := e.find(merged)
	edits := map[*layer]*patch{}
	var faults []error
	for _, r := range found.found {
		target, wanted := e.target(r)
		if !wanted || r.is(target) {
			continue
		}
		writes, err := r.valueWrites(merged.docs[0], target)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, w := range writes {
			if err := layers.set(w, edits); err != nil {
				faults = append(faults, fmt.Errorf("%w (%s)", err, r.Image.Repository))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for l, p := range edits {
		data, err := p.apply(l)
		if err != nil {
			return nil, err
		}
		if err := f.unsealed(l.name); err != nil {
			return nil, err
		}
		files[l.name] = data
	}
	return files, nil
}

type layers []*layer

// macOnlyEncrypted says that plain values may be edited.
var macOnlyEncrypted = regexp.MustCompile(`mac_only_encrypted["']?:\s*true`)

// unsealed holds that a values file may be edited: not one that SOPS encrypted,
// whose MAC covers what is plain in it, too.
func (f Folder) unsealed(name string) error {
	data, err := readFile(f.FS, name)
	if err != nil || render.FormatOf(name, data) == "" || macOnlyEncrypted.Match(data) {
		return err
	}
	return fmt.Errorf("%s:1: %w: SOPS has sealed the file, and would not decrypt it any more: edit it with sops, or put the image into a values file of its own", name, ErrUnsafe)
}

// layers reads the values, the weakest first.
func (f Folder) layers() (layers, error) {
	in, dir := f.ofChart()
	all, err := in.subcharts(dir, nil, 0)
	if err != nil {
		return nil, err
	}
	own, err := in.layer(path.Join(dir, "values.yaml"), nil)
	if err != nil {
		return nil, err
	}
	all = append(all, own)
	for _, name := range f.Helm.ValuesFiles {
		l, err := f.layer(path.Join(f.Path, name), nil)
		if err != nil {
			return nil, err
		}
		l.added = l.text != nil
		all = append(all, l)
	}
	if len(f.Helm.Values) > 0 {
		l := &layer{name: "spec.source.helm.values of the application", doc: &yaml.Node{}}
		if err := l.doc.Encode(f.Helm.Values); err != nil {
			return nil, fmt.Errorf("read %s: %w", l.name, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// maxSubcharts bounds how deep subcharts may have subcharts.
const maxSubcharts = 10

// subcharts are the values of the charts that a chart's folder charts has. They
// are others' and not edited.
func (f Folder) subcharts(dir string, under []string, depth int) (layers, error) {
	entries, err := fs.ReadDir(f.FS, path.Join(dir, "charts"))
	if err != nil || depth > maxSubcharts {
		return nil, nil //nolint:nilerr // there are none
	}
	var all layers
	for _, entry := range entries {
		sub := path.Join(dir, "charts", entry.Name())
		for _, name := range f.subchartNames(dir, sub) {
			below := append(slices.Clone(under), name)
			deeper, err := f.subcharts(sub, below, depth+1)
			if err != nil {
				return nil, err
			}
			own, err := f.layer(path.Join(sub, "values.yaml"), below)
			if err != nil {
				return nil, err
			}
			own.text = nil
			all = append(append(all, deeper...), own)
		}
	}
	return all, nil
}

// subchartNames are those under which a chart knows a subchart: its aliases, or
// its own name.
func (f Folder) subchartNames(parent, sub string) []string {
	name := value(f.firstDocument(path.Join(sub, "Chart.yaml")), "name")
	if name == "" {
		return nil
	}
	var aliases []string
	for _, d := range items(at(f.firstDocument(path.Join(parent, "Chart.yaml")), "dependencies")) {
		if alias := value(d, "alias"); alias != "" && value(d, "name") == name {
			aliases = append(aliases, alias)
		}
	}
	if len(aliases) == 0 {
		return []string{name}
	}
	return aliases
}

func (f Folder) firstDocument(file string) *yaml.Node {
	data, err := readFile(f.FS, file)
	if err != nil {
		return nil
	}
	if t, err := parse(file, chunk{data, 1}); err == nil && len(t.docs) > 0 {
		return t.docs[0]
	}
	return nil
}

// layer reads a file of values; one that isn't there says nothing.
func (f Folder) layer(file string, under []string) (*layer, error) {
	l := &layer{name: file, under: under}
	data, err := readFile(f.FS, file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := parse(file, chunk{data, 1})
	if err != nil {
		return nil, err
	}
	if len(t.docs) > 0 {
		l.doc = t.docs[0]
	}
	if f.within(file) && len(t.docs) < 2 {
		l.text = t
	}
	return l, nil
}

// mergedValues are all layers as Helm lays them over each other: mappings by
// their keys, anything else as a whole; null takes a key away.
func mergedValues(all layers) (*text, error) {
	merged := map[string]any{}
	for _, l := range all {
		if l.doc == nil {
			continue
		}
		var says map[string]any
		if err := l.doc.Decode(&says); err != nil {
			return nil, fmt.Errorf("read the values of %s: %w", l.name, err)
		}
		for _, key := range slices.Backward(l.under) {
			says = map[string]any{key: says}
		}
		layOver(merged, says)
	}
	data, err := yaml.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("merge the values: %w", err)
	}
	t, err := parse("values", chunk{data, 1})
	if err == nil && len(t.docs) != 1 {
		err = errors.New("merge the values: there are none")
	}
	return t, err
}

func layOver(below, above map[string]any) {
	for key, v := range above {
		over, isMap := v.(map[string]any)
		was, wasMap := below[key].(map[string]any)
		switch {
		case v == nil:
			delete(below, key)
		case isMap && wasMap:
			layOver(was, over)
		default:
			below[key] = v
		}
	}
}
