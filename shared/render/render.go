package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
)

// Request says what to render.
type Request struct {
	// FS is the whole repository at one commit.
	FS fs.FS
	// Path is a directory of FS, slash-separated; "." or "" is all of it.
	Path string
	// Helm says how the path is rendered if it is a chart, or names one.
	Helm Release
	// Kustomize is added to the path's kustomization, or post-renders a chart; nil:
	// nothing.
	Kustomize *api.KustomizeSource
	// Ignore are patterns of what is left out of a path of plain manifests, in front of
	// those of its .slipwayignore.
	Ignore []string
	// Vars are the values of ${NAME} in what is rendered. nil: nothing is
	// replaced, and such text stays as it is.
	Vars map[string]string
	// Decrypter decrypts files that SOPS encrypted: manifests, what
	// kustomizations name (but for configMapGenerator), and values files. nil:
	// such a file is an error.
	Decrypter Decrypter
	// Sealed keeps files as they are encrypted, without a Decrypter: for those
	// who have no keys. Of values files the values become some of their type.
	Sealed bool
	// Lenient keeps an expression as it is written when its variable has no
	// value. It is for those who can't know all of them.
	Lenient bool
	// Charts brings what Helm.Remote names. nil: such a chart is an error.
	Charts charts.Source
	// Bases brings what kustomizations name beyond the repository. nil: such an
	// address is an error.
	Bases bases.Source
	// Cluster answers what a chart looks up, and is the one that it sees: as with
	// `helm template --dry-run=server`. nil: a chart finds nothing, and sees what
	// [Release] says.
	Cluster Cluster
	// Limits bound the work; the zero value is [DefaultLimits].
	Limits Limits
}

// Limits bound what one render may read. A field that is 0 has its default.
type Limits struct {
	FileBytes  int64 // of one file
	TotalBytes int64 // of all files
	Documents  int   // YAML documents, and items of Lists
	// Time and Memory (bytes) are what a chart's templates may take.
	Time   time.Duration
	Memory int64
	// Lookups and LookupBytes (of JSON) are what a chart may look up.
	Lookups     int
	LookupBytes int64
}

// DefaultLimits hold where a request says nothing.
var DefaultLimits = Limits{FileBytes: 4 << 20, TotalBytes: 64 << 20, Documents: 20_000, Time: 30 * time.Second, Memory: 512 << 20, Lookups: 100, LookupBytes: 8 << 20}

func (l Limits) orDefault() Limits {
	if l.FileBytes == 0 {
		l.FileBytes = DefaultLimits.FileBytes
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = DefaultLimits.TotalBytes
	}
	if l.Documents == 0 {
		l.Documents = DefaultLimits.Documents
	}
	if l.Time == 0 {
		l.Time = DefaultLimits.Time
	}
	if l.Memory == 0 {
		l.Memory = DefaultLimits.Memory
	}
	if l.Lookups == 0 {
		l.Lookups = DefaultLimits.Lookups
	}
	if l.LookupBytes == 0 {
		l.LookupBytes = DefaultLimits.LookupBytes
	}
	return l
}

// Kind is what a path was found to be.
type Kind string

// The kinds of path.
const (
	Plain     Kind = "plain"
	Kustomize Kind = "kustomize"
	Helm      Kind = "helm"
)

// ID names an object. Namespace is as rendered: empty for a cluster-wide
// object and for one that lands in the application's destination.
type ID struct {
	APIVersion, Kind, Namespace, Name string
}

// Group is the part of APIVersion before the slash; empty for the core.
func (id ID) Group() string {
	if group, _, found := strings.Cut(id.APIVersion, "/"); found {
		return group
	}
	return ""
}

// String is such as "Deployment.apps shop/web".
func (id ID) String() string {
	s := id.Kind
	if g := id.Group(); g != "" {
		s += "." + g
	}
	s += " "
	if id.Namespace != "" {
		s += id.Namespace + "/"
	}
	return s + id.Name
}

// Object is one rendered object.
type Object struct {
	ID
	// Raw is the document: byte for byte what the tool prints, without
	// separators. For plain files it is the file's own bytes.
	Raw []byte
	// Map is Raw, parsed as Kubernetes' clients parse it: numbers are int64
	// or float64. The caller may change it.
	Map map[string]any
	// File is where the object came from: its file, or the kustomization
	// that was built. Line is the first line of the document, from 1; 0
	// where it isn't known.
	File string
	Line int
	// Varies says that the object is another at each render: its chart makes
	// up a password, a certificate or a time, or hashes one.
	Varies bool
	// Kept says that the chart leaves the object out, and wouldn't if its lookups
	// found nothing of its own: it was made once, and stays as it is.
	Kept bool
	// rewritten says that Raw isn't the text that stands in File.
	rewritten bool
	// apart says that it is of a chart's folder crds, which no post-renderer sees.
	apart bool
}

// Where is "file:line", or the file alone.
func (o Object) Where() string { return where(o.File, o.Line) }

// Result is what a path stands for.
type Result struct {
	Kind Kind
	// Objects are in apply order.
	Objects []Object
	// Inputs are the paths that the result depends on, clean and sorted:
	// files and directories, also such as aren't there (yet). A directory
	// stands for everything below it; "." is the whole repository.
	Inputs []string
	// Asked says that it depends on what the cluster answered, too; also when the
	// render failed.
	Asked bool
	// Moving is what was brought from beyond the repository and may be another the
	// next time, each address=version; also when the render failed.
	Moving []string
	// Masks are the values that were decrypted or looked up in Secrets, also when the render failed.
	// They are in no error of Render.
	Masks *Masks
}

// Touched says whether a change of one of the paths can change the result.
func (r Result) Touched(changed []string) bool {
	for _, p := range changed {
		for at := path.Clean(p); ; at = path.Dir(at) {
			if _, found := slices.BinarySearch(r.Inputs, at); found {
				return true
			}
			if at == "." || at == "/" {
				break
			}
		}
	}
	return false
}

// Render renders a path. With an error, Result has Inputs, Moving and Masks alone: the
// paths whose change may mend it. The error is an *[Error] or joins several.
func Render(ctx context.Context, req Request) (Result, error) {
	dir := path.Clean(req.Path)
	if !fs.ValidPath(dir) {
		return Result{}, &Error{
			File: req.Path, Reason: ReasonPath, Message: "the path is not a relative path inside the repository",
			Help: "write it without a leading slash and without \"..\"",
		}
	}
	src := &source{fsys: req.FS, limits: req.Limits.orDefault(), ignore: req.Ignore, dirs: map[string]bool{}, sealed: req.Sealed && req.Decrypter == nil, plain: map[string][]byte{}, charts: req.Charts, cluster: req.Cluster}
	if req.Decrypter != nil {
		src.decrypter = func(format Format, data []byte) ([]byte, []string, error) {
			return req.Decrypter.Decrypt(ctx, format, data)
		}
	}
	if req.Bases != nil {
		src.bases = func(a bases.Address, files bool) (bases.Base, error) { return req.Bases.Base(ctx, a, files) }
	}
	if err := src.isDir(dir); err != nil {
		return Result{Inputs: []string{dir}}, err
	}
	result, err := render(ctx, src, dir, req)
	result.Masks = &src.masks
	if err == nil && !src.sealed {
		err = errors.Join(ciphers(result.Objects), src.openValues(result.Objects))
	}
	if err == nil && req.Vars != nil {
		result.Objects, err = substitute(src, req, result.Inputs, result.Objects)
	}
	if err == nil {
		err = errors.Join(append(duplicates(result.Objects), badTurns(result.Objects)...)...)
	}
	if err != nil {
		result.Objects, err = nil, src.masks.error(err)
	}
	slices.Sort(result.Inputs)
	result.Inputs = slices.Compact(result.Inputs)
	return result, err
}

func render(ctx context.Context, src *source, dir string, req Request) (Result, error) {
	if req.Helm.wanted() || src.isFile(path.Join(dir, chartFile)) {
		if len(req.Ignore) > 0 {
			return Result{Inputs: []string{dir}}, ignoresNothing(dir, "a chart")
		}
		chart, err := renderChart(ctx, src, dir, req.Helm)
		if err != nil || req.Kustomize == nil {
			return chart, err
		}
		if req.Kustomize.Autodetect {
			return chart, &Error{File: dir, Reason: ReasonUnsupported, Message: "spec.source.kustomize.autodetect is for a folder of manifests, and this is a chart", Help: "take it out"}
		}
		return postRender(ctx, src, dir, chart, req.Kustomize)
	}
	file, err := src.kustomization(dir)
	if err != nil {
		return Result{Inputs: []string{dir}}, err
	}
	if file != "" && len(req.Ignore) > 0 {
		return Result{Inputs: []string{dir, file}}, ignoresNothing(file, "a kustomization")
	}
	if file != "" || req.Kustomize != nil {
		return buildKustomization(ctx, src, dir, file, req.Kustomize)
	}
	return readPlain(ctx, src, dir, nil)
}

// duplicates finds objects that are there twice.
func duplicates(objects []Object) []error {
	type key struct{ group, kind, namespace, name string }
	first := make(map[key]Object, len(objects))
	var faults []error
	for _, o := range objects {
		k := key{o.Group(), o.Kind, o.Namespace, o.Name}
		before, found := first[k]
		if !found {
			first[k] = o
			continue
		}
		faults = append(faults, &Error{
			File: o.File, Line: o.Line, Reason: ReasonDuplicate,
			Message: fmt.Sprintf("%s is also in %s", o.ID, before.Where()), Help: "remove one of them",
		})
	}
	return faults
}
