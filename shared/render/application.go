package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"

	"github.com/slipway-cd/slipway/shared/api"
)

// Application is the request for what an application's source says, in the
// repository that it names. Of its variables it has those that it sets itself:
// what comes from a cluster is for who has one.
func Application(fsys fs.FS, app *api.Application) Request {
	r := Request{FS: fsys, Path: app.Spec.Source.Path, Helm: ReleaseOf(app), Kustomize: app.Spec.Source.Kustomize, Ignore: app.Spec.Source.Ignore}
	if s := app.Spec.Substitute; s != nil {
		r.Vars = make(map[string]string, len(s.Vars))
		maps.Copy(r.Vars, s.Vars)
	}
	return r
}

// Key is the same for requests that give the same of the same commit, and for
// no others. It tells neither commits apart nor who has keys
// from who hasn't.
func (r Request) Key() string {
	dir := path.Clean(r.Path)
	src := &source{fsys: r.FS, dirs: map[string]bool{}}
	key := dir
	if r.Helm.wanted() || src.isFile(path.Join(dir, chartFile)) {
		settings, err := json.Marshal(r.Helm)
		if err != nil {
			settings = fmt.Appendf(nil, "%#v", r.Helm) // what can't be rendered is told by the render
		}
		key += "\x00" + string(settings)
	}
	if r.Kustomize != nil {
		settings, err := json.Marshal(r.Kustomize)
		if err != nil {
			settings = fmt.Appendf(nil, "%#v", r.Kustomize)
		}
		key += "\x00kustomize " + string(settings)
	}
	if len(r.Ignore) > 0 {
		key += "\x00ignore " + fmt.Sprintf("%q", r.Ignore)
	}
	if r.Vars != nil {
		key += "\x00" + fmt.Sprintf("%t %q", r.Lenient, r.Vars) // sorted by name
	}
	return key
}

// ReleaseOf says how an application's chart is rendered, if it is one.
func ReleaseOf(app *api.Application) Release {
	r := Release{
		ReleaseName: app.Metadata.Name,
		Namespace:   cmp.Or(app.Spec.Destination.Namespace, app.Metadata.Namespace),
	}
	if h := app.Spec.Source.Helm; h != nil {
		// Settings are for a chart: where there is none, that is a fault.
		r.Chart, r.ValuesFiles, r.Values = cmp.Or(h.Chart, "."), h.ValuesFiles, h.Values
		if remote, ok := h.Remote(); ok {
			r.Chart, r.Remote = "", remote
		}
		r.ReleaseName = cmp.Or(h.ReleaseName, r.ReleaseName)
		r.SkipCRDs, r.Tests, r.IgnoreMissing = h.SkipCRDs, h.Tests, h.IgnoreMissingValuesFiles
	}
	return r
}
