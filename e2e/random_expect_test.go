package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// wanted is an object that Git has.
type wanted struct {
	app    string
	object fields
	hook   bool
	keep   bool       // slipway.dev/prune: disabled
	forced bool       // made anew where it can't be changed
	once   bool       // left to others once it is there
	left   [][]string // fields that are left to others
}

// fleet is what a commit asks for, found out by rendering it, and nothing else.
type fleet struct {
	commit  string
	objects map[string]wanted           // by key
	meant   map[string]wanted           // what it were if nothing had invalid YAML
	apps    map[string]*api.Application // of the shop, by name; the root is ""
	broken  map[string]string           // applications that ask for nothing that can be done, and why
}

// clusterWide are the kinds of random repos that lie in no namespace.
var clusterWide = []string{"Namespace", "CustomResourceDefinition", "ClusterRoleBinding", "Project"}

func objectKey(kind, group, namespace, name string) string {
	if slices.Contains(clusterWide, kind) {
		namespace = ""
	}
	return fmt.Sprintf("%s.%s %s/%s", kind, group, namespace, name)
}

// readFleet renders a repo, and what it is meant to be.
func readFleet(ctx context.Context, repo *randomRepo, w *local.World, commit string) (*fleet, error) {
	f, err := renderFleet(ctx, repo.files(w), commit)
	if err != nil {
		return nil, err
	}
	f.meant = f.objects
	if mended, was := repo.mended(); was {
		m, err := renderFleet(ctx, mended.files(w), commit)
		if err != nil {
			return nil, err
		}
		f.meant = m.objects
	}
	return f, nil
}

func renderFleet(ctx context.Context, files map[string]string, commit string) (*fleet, error) {
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	f := &fleet{commit: commit, objects: map[string]wanted{}, apps: map[string]*api.Application{}, broken: map[string]string{}}
	root := &api.Application{Metadata: api.Metadata{Name: "root", Namespace: "slipway-system"}}
	root.Spec.Source.Path = "clusters/local"
	if err := f.add(ctx, dir, "", root); err != nil {
		return nil, err
	}
	for _, w := range f.objects {
		if w.object["kind"] != api.ApplicationKind {
			continue
		}
		data, err := json.Marshal(w.object)
		if err != nil {
			return nil, err
		}
		app := &api.Application{}
		if err := json.Unmarshal(data, app); err != nil {
			return nil, err
		}
		f.apps[app.Metadata.Name] = app
	}
	for _, name := range slices.Sorted(maps.Keys(f.apps)) {
		if err := f.add(ctx, dir, name, f.apps[name]); err != nil {
			f.broken[name] = err.Error()
		}
	}
	for name, app := range f.apps {
		switch _, suspended := app.Metadata.Suspension(); {
		case suspended:
			f.broken[name] = isSuspended
		case f.broken[name] == "" && f.sick(name):
			f.broken[name] = "it is sick and never becomes healthy"
		}
	}
	f.spread()
	return f, nil
}

const isSuspended = "it is suspended"

// sick says whether an application has a pod that never becomes ready.
func (f *fleet) sick(name string) bool {
	for _, w := range f.objects {
		if w.app == name && mapping(w.object, "spec", "template", "metadata", "annotations")["e2e.slipway.dev/behaviour"] == "never-ready" {
			return true
		}
	}
	return false
}

// unknown says whether an application is suspended, or can't be rendered, so that
// nobody knows what it asks for.
func (f *fleet) unknown(name string) bool {
	why := f.broken[name]
	known := []string{"it depends on", "it is sick", "nothing", "empty"}
	return why != "" && !slices.ContainsFunc(known, func(k string) bool { return strings.Contains(why, k) })
}

// spread has those that depend on broken applications wait.
func (f *fleet) spread() {
	for again := true; again; {
		again = false
		for name, app := range f.apps {
			for _, d := range app.Spec.DependsOn {
				if f.broken[d.Name] != "" && f.broken[name] == "" {
					f.broken[name], again = "it depends on "+d.Name, true
				}
			}
		}
	}
}

func (f *fleet) add(ctx context.Context, dir fs.FS, name string, app *api.Application) error {
	request := render.Application(dir, app)
	if request.Vars != nil {
		maps.Copy(request.Vars, texts(mapping(f.objects[objectKey("ConfigMap", "", namespaceOf(name), sharedVars)].object, "data")))
	}
	result, err := render.Render(ctx, request)
	if err != nil {
		return err
	}
	if len(result.Objects) == 0 && !app.Spec.Sync.AllowEmpty {
		return fmt.Errorf("%s renders to nothing", app.Spec.Source.Path)
	}
	for _, o := range result.Objects {
		annotations := mapping(o.Map, "metadata", "annotations")
		turn, err := render.TurnOf(texts(annotations))
		if err != nil {
			return err
		}
		metadata := mapping(o.Map, "metadata")
		set(metadata, "labels", app.Spec.Labels)
		set(metadata, "annotations", app.Spec.Annotations)
		w := wanted{app: name, object: o.Map, hook: turn.IsHook, keep: annotations["slipway.dev/prune"] == "disabled"}
		w.forced, w.once = annotations["slipway.dev/force"] == "enabled", annotations["slipway.dev/apply"] == "ifNotPresent"
		for _, i := range app.Spec.Ignore {
			if i.Kind == o.Kind {
				w.left = append(w.left, i.Fields()...)
			}
		}
		namespace := o.Namespace
		if namespace == "" {
			namespace = app.Spec.Destination.Namespace
		}
		key := objectKey(o.Kind, o.Group(), namespace, o.Name)
		if other, twice := f.objects[key]; twice {
			return fmt.Errorf("%s is in %q and in %q", key, other.app, name)
		}
		f.objects[key] = w
	}
	return nil
}

// held says whether an object stays with an application of which nobody can know
// whether it still wants it, as it can't be rendered.
func (f *fleet) held(key string, all map[string]*unstructured.Unstructured) bool {
	u := all[key]
	if u == nil {
		return false
	}
	owner := appOf(u.GetAnnotations()[ownerAnnotation])
	return owner != f.objects[key].app && f.unknown(owner)
}

// waits are the applications that want such objects, and those that depend on them.
func (f *fleet) waits(all map[string]*unstructured.Unstructured) map[string]bool {
	waits := map[string]bool{}
	for key, w := range f.objects {
		if f.held(key, all) {
			waits[w.app] = true
		}
	}
	for again := true; again; {
		again = false
		for name, app := range f.apps {
			for _, d := range app.Spec.DependsOn {
				if waits[d.Name] && !waits[name] {
					waits[name], again = true, true
				}
			}
		}
	}
	return waits
}

func (f *fleet) owner(app string) string {
	if app == "" {
		return "local/slipway-system/root"
	}
	return "local/" + namespaceOf(app) + "/" + app
}

// appOf is the name of the application of a random repo that owns something.
func appOf(owner string) string {
	app := owner[strings.LastIndex(owner, "/")+1:]
	if owner == "local/"+namespaceOf(app)+"/"+app {
		return app
	}
	return owner
}

func (f *fleet) orphans(app string) bool {
	a := f.apps[app]
	return a != nil && a.Spec.OnDelete == api.OnDeleteOrphan
}

func (f *fleet) leaves(app string) bool {
	a := f.apps[app]
	return a != nil && !a.Spec.Sync.Prunes()
}

// undecided says whether nobody can know what an application wants, or it is still
// there since nothing is pruned before all of the root's are healthy.
func (f *fleet) undecided(owner string) bool {
	app := appOf(owner)
	return f.broken[app] != "" || len(f.broken) > 0 && f.apps[app] == nil
}

// goesTo is the application to which the owner of an object says that it goes.
func goesTo(key string, all map[string]*unstructured.Unstructured) string {
	namespace, name, _ := strings.Cut(strings.TrimPrefix(all[key].GetAnnotations()[ownerAnnotation], "local/"), "/")
	owner := all[objectKey(api.ApplicationKind, api.Group, namespace, name)]
	if owner == nil {
		return ""
	}
	inventory, _, _ := unstructured.NestedSlice(owner.Object, "status", "inventory")
	for _, entry := range inventory {
		e := texts(entry.(fields))
		if objectKey(e["kind"], e["group"], e["namespace"], e["name"]) == key {
			return e["to"]
		}
	}
	return ""
}

func mapping(o fields, path ...string) fields {
	for _, p := range path {
		o, _ = o[p].(fields)
	}
	return o
}

func texts(m fields) map[string]string {
	all := map[string]string{}
	for k, v := range m {
		all[k], _ = v.(string)
	}
	return all
}

func set(metadata fields, field string, more map[string]string) {
	if len(more) == 0 {
		return
	}
	all, _ := metadata[field].(fields)
	if all == nil {
		all = fields{}
		metadata[field] = all
	}
	for k, v := range more {
		all[k] = v
	}
}

// foreign begins the names of all that the test puts into the cluster by hand.
const foreign = "foreign"

// differs says where a live object is not as wanted: each rendered field has its
// value, and where others may add nothing but the test's own, there is no more.
func (w wanted) differs(live fields) string {
	want := w.object
	if text, ok := want["stringData"].(fields); ok {
		want = maps.Clone(want)
		delete(want, "stringData")
		data := fields{}
		for k, v := range text {
			data[k] = base64.StdEncoding.EncodeToString(fmt.Append(nil, v))
		}
		want["data"] = data
	}
	if fault := w.lacks(nil, want, live); fault != "" {
		return fault
	}
	for _, path := range [][]string{{"data"}, {"metadata", "labels"}, {"metadata", "annotations"}} {
		wants := mapping(want, path...)
		for k, v := range mapping(live, path...) {
			if _, ok := wants[k]; !ok && !added(want, k) {
				return fmt.Sprintf("%s.%s is left: %v", strings.Join(path, "."), k, v)
			}
		}
	}
	return ""
}

// added says whether somebody else may have put a label or annotation there.
func added(want fields, key string) bool {
	prefixes := []string{foreign, "slipway.dev/owner", "slipway.dev/run", "deployment.kubernetes.io/", "kubernetes.io/metadata.name", "batch.kubernetes.io/"}
	if want["kind"] == api.ApplicationKind {
		prefixes = append(prefixes, "slipway.dev/")
	}
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

func (w wanted) lacks(path []string, want, live any) string {
	if slices.ContainsFunc(w.left, func(p []string) bool { return slices.Equal(p, path) }) {
		return ""
	}
	switch want := want.(type) {
	case fields:
		l, _ := live.(fields)
		for k, v := range want {
			if len(path) == 1 && path[0] == "metadata" && k == "namespace" {
				continue // it is in the key
			}
			if fault := w.lacks(append(slices.Clip(path), k), v, l[k]); fault != "" {
				return fault
			}
		}
		return ""
	case []any:
		l, _ := live.([]any)
		for _, v := range want {
			if !slices.ContainsFunc(l, func(has any) bool { return w.lacks(append(slices.Clip(path), "[]"), v, has) == "" }) {
				return fmt.Sprintf("%s lacks %v: %v", strings.Join(path, "."), v, live)
			}
		}
		return ""
	}
	if !reflect.DeepEqual(plainNumber(want), plainNumber(live)) {
		return fmt.Sprintf("%s is %v, not %v", strings.Join(path, "."), live, want)
	}
	return ""
}

func plainNumber(v any) any {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case int:
		return float64(n)
	}
	return v
}
