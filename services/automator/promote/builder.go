package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// rendered is what a path gave, kept while its inputs don't change.
type rendered struct {
	key    string        // of the request
	result render.Result // without its objects
	images []manifest.Rendered
	docs   []found
	err    error
}

// found is an Application document.
type found struct {
	app   *api.Application
	where string
	text  []byte // where another repository is told of it
}

// builder follows Application documents from the roots on.
type builder struct {
	*loader
	s, old  *State
	changed []string
	fresh   map[string]bool               // paths rendered anew
	docs    map[events.Application]string // where each was found
	brought map[events.Application]bool   // by a guest; nil while there is none
}

// maxDepth bounds how deep applications may bring applications.
const maxDepth = 10

func (b *builder) descend(ctx context.Context, cluster, dir string) {
	r := b.render(ctx, render.Request{FS: b.s.files, Path: dir, Charts: b.charts, Bases: b.bases})
	if r.err != nil {
		b.s.Problems = append(b.s.Problems, fmt.Errorf("applications of cluster %s: %w", cluster, r.err))
		b.s.partial = true
	}
	for _, d := range r.docs {
		b.add(ctx, cluster, d, 0)
	}
}

// render gives what a path stands for, from the old state where nothing that
// it depends on changed.
func (b *builder) render(ctx context.Context, req render.Request) *rendered {
	req.Path, req.Sealed = path.Clean(req.Path), true // we have no keys
	key := req.Key()
	if r, done := b.s.paths[key]; done {
		return r
	}
	if b.old != nil {
		if r, known := b.old.paths[key]; known && !r.result.Touched(b.changed) && !mayCome(r.err) {
			b.s.paths[key] = r
			return r
		}
	}
	b.fresh[key] = true
	result, err := render.Render(ctx, req)
	r := &rendered{key: key, images: manifest.Images(result.Objects, b.aliases), err: err}
	if err != nil {
		r.images = b.scan(req)
	}
	for _, o := range result.Objects {
		if o.IsApplication() {
			known := len(r.docs)
			r.read(o)
			b.keepTexts(r.docs[known:], o)
		}
	}
	result.Objects = nil
	r.result = result
	b.s.paths[key] = r
	return r
}

// scan finds the images of a path that can't be rendered in those of its files
// that can be read, so that a push for it can be answered with the reason.
func (b *builder) scan(req render.Request) []manifest.Rendered {
	fsys := b.s.files
	files, err := render.Files(fsys, req.Path, req.Ignore...)
	if err != nil {
		return nil
	}
	var all []manifest.Rendered
	for _, name := range files {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			continue
		}
		references, err := manifest.Find(name, data, b.aliases)
		if err != nil {
			continue
		}
		for _, r := range references {
			all = append(all, manifest.Rendered{Name: r.Image.Repository.String(), Image: r.Image})
		}
	}
	return all
}

// read takes an Application document; blank lines before it keep the line
// numbers of its faults true.
func (r *rendered) read(o render.Object) {
	docs, err := api.Decode(o.File, append(bytes.Repeat([]byte("\n"), max(o.Line-1, 0)), o.Raw...))
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	for _, d := range docs {
		if app, ok := d.Object.(*api.Application); ok {
			r.docs = append(r.docs, found{app: app, where: o.Where()})
		}
	}
}

// keepTexts keeps the text of what was read of an object, if another repository is to be
// told of it.
func (b *builder) keepTexts(docs []found, o render.Object) {
	for i, d := range docs {
		if _, ok := b.borrower(d.app); ok {
			docs[i].text = bytes.Clone(o.Raw)
		}
	}
}

// borrower is the key of the other repository that is an application's source and takes
// documents from this one; ok is false where there is none.
func (b *builder) borrower(app *api.Application) (key string, ok bool) {
	source, err := events.ParseGitRepository(app.Spec.Source.Repository, b.gits)
	if err != nil {
		return "", false
	}
	ref, err := app.Spec.Source.Ref()
	key = Key(source, ref.Value)
	return key, err == nil && ref.Kind == api.RefBranch && key != b.key() && b.lending.takes(key, b.name)
}

func (l *loader) key() string { return Key(l.name, l.config.Branch) }

// add takes an application, and looks below its path for more.
func (b *builder) add(ctx context.Context, cluster string, d found, depth int) {
	app := b.admit(cluster, d)
	if app == nil || !b.writesTo(app, d.app) {
		return
	}
	req := render.Application(b.s.files, d.app)
	// What comes from the cluster isn't known here, and stays as it is written.
	req.Lenient = d.app.Spec.Substitute != nil && len(d.app.Spec.Substitute.From) > 0
	req.Charts, req.Bases = b.charts, b.bases
	r := b.render(ctx, req)
	app.request, app.rendered = req, r
	app.request.FS, app.request.Sealed = nil, true // a commit's, which goes; we have no keys
	app.Images = r.images
	if app.Blocked != nil {
		return
	}
	if r.err != nil {
		app.Blocked = withoutValues(d.app, r.err)
		b.s.partial = true
	}
	if depth < maxDepth {
		for _, below := range r.docs {
			b.add(ctx, cluster, below, depth+1)
		}
	}
}

// admit makes an application of a document; nil where it is known, another repository's, or
// has no name.
func (b *builder) admit(cluster string, d found) *Application {
	name, err := events.ParseApplication(cluster + "/" + d.app.Metadata.Namespace + "/" + d.app.Metadata.Name)
	if err != nil {
		b.s.Problems = append(b.s.Problems, fmt.Errorf("%s: %w (metadata.namespace is required)", d.where, err))
		return nil
	}
	if first, known := b.docs[name]; known {
		if first != d.where {
			b.twice(name, first, d.where)
		}
		return nil
	}
	b.docs[name] = d.where
	if b.lent(cluster, d) {
		b.s.away = append(b.s.away, name)
		return nil
	}
	if b.brought != nil {
		b.brought[name] = true
	}
	suspension, _ := d.app.Metadata.Suspension()
	app := &Application{Name: name, Path: path.Clean(d.app.Spec.Source.Path), Suspended: suspension, OnFailure: d.app.Spec.OnFailure, where: d.where}
	b.s.Applications[name] = app
	return app
}

// twice tells of an application's second document.
func (b *builder) twice(name events.Application, first, second string) {
	fault := &twice{first, second}
	if app := b.s.Applications[name]; app != nil {
		app.Blocked = fault
	} else { // it is another repository's
		b.s.Problems = append(b.s.Problems, fmt.Errorf("%s: %w", name, fault))
	}
}

// writesTo says whether an application's source is this repository, and blocks it unless
// that is followed at the branch.
func (b *builder) writesTo(app *Application, doc *api.Application) bool {
	source, err := events.ParseGitRepository(doc.Spec.Source.Repository, b.gits)
	if err != nil {
		app.Blocked = fmt.Errorf("%s: %w", app.where, err)
		return false
	}
	ref, err := doc.Spec.Source.Ref()
	if err != nil {
		app.Blocked = fmt.Errorf("%s: spec.source.%w", app.where, err)
		return false
	}
	if source != b.name || ref != (api.Ref{Kind: api.RefBranch, Value: b.config.Branch}) {
		app.Blocked = fmt.Errorf("%s: %w", app.where, &elsewhere{placeOf(source, ref), b.key(), b.name, b.lending.known(placeOf(source, ref))})
	}
	// What it has at the branch says for which images its pushes are answered.
	return source == b.name
}

// withoutValues is the error of a render that may be for want of what is in a cluster.
func withoutValues(app *api.Application, err error) error {
	if helm := app.Spec.Source.Helm; helm == nil || len(helm.ValuesFrom) == 0 {
		return err
	}
	return fmt.Errorf("%w (what the chart takes from the cluster by valuesFrom isn't known here: give it values by which it renders without)", err)
}

// lent says whether an application is one of another repository of the config, which
// is told of it.
func (b *builder) lent(cluster string, d found) bool {
	key, ok := b.borrower(d.app)
	if !ok {
		return false
	}
	if b.s.lends == nil {
		b.s.lends = map[string][]lentDocument{}
	}
	b.s.lends[key] = append(b.s.lends[key], lentDocument{cluster, d.where, d.text})
	return true
}

// of is the application's request for files.
func (a *Application) of(fsys fs.FS) render.Request {
	req := a.request
	req.FS = fsys
	return req
}

// folder is where an application's references are set.
func (a *Application) folder(fsys fs.FS, aliases events.Aliases) manifest.Folder {
	return manifest.Folder{FS: fsys, Path: a.Path, Helm: a.request.Helm, Kustomize: a.request.Kustomize, Ignore: a.request.Ignore, Aliases: aliases, Vars: a.request.Vars, Lenient: a.request.Lenient, Charts: a.request.Charts, Bases: a.request.Bases}
}

// twice says that an application has two documents.
type twice struct{ first, second string }

func (t *twice) Error() string {
	return fmt.Sprintf("the application is there twice: %s and %s", t.first, t.second)
}

// placeOf names what an application's source follows.
func placeOf(source events.GitRepository, ref api.Ref) string {
	if ref.Kind == api.RefBranch {
		return Key(source, ref.Value)
	}
	return fmt.Sprintf("%s at %s", source, ref)
}

// elsewhere says that an application's source isn't where the automator
// writes.
type elsewhere struct {
	source, ours string
	from         events.GitRepository // where its document is
	known        bool                 // to the config
}

func (e *elsewhere) Error() string {
	text := fmt.Sprintf("its source is %s, and the automator writes to %s", e.source, e.ours)
	if e.known {
		text += fmt.Sprintf(" for what lies there: documentsFrom of %s in the config doesn't name %s", e.source, e.from)
	}
	return text
}
