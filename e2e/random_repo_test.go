package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/e2e/local"
)

// fields are a mapping of a document.
type fields = map[string]any

// hook is a Job that runs for each revision, by one of the annotations that say so.
type hook struct {
	When, Style string
	Value       int
}

var hookStyles = map[string]map[string]string{
	"slipway": {"pre": "slipway.dev/hook=pre", "post": "slipway.dev/hook=post"},
	"helm":    {"pre": "helm.sh/hook=pre-install,pre-upgrade", "post": "helm.sh/hook=post-install,post-upgrade"},
	"argo":    {"pre": "argocd.argoproj.io/hook=PreSync", "post": "argocd.argoproj.io/hook=PostSync"},
}

// randomApp is an Application of a random repo.
type randomApp struct {
	ID          string // stays when it is renamed
	Name, Dir   string
	Shape       string // plain, kustomize, detected, helm
	Value       int    // of what is its own besides units
	Labels      map[string]string
	Annotations map[string]string
	DependsOn   []string // ids of those before it
	Ignores     bool     // data.left of ConfigMaps
	Orphans     bool     // onDelete
	Empties     bool     // sync.allowEmpty
	Leaves      bool     // sync.prune: false
	Runs        bool     // has a pod
	Sick        bool     // whose pod never becomes ready
	Suspended   bool
	Resync      int  // minutes
	Annex       bool // its objects lie in another namespace
	Substitutes bool // variables, of its own and of what is shared
	Broken      bool // has invalid YAML
	Units       []unit
	Hooks       []hook
}

// randomRepo is what a random config repo holds.
type randomRepo struct {
	Next   int  // of names
	Shared int  // a variable for all
	Broken bool // the root has invalid YAML
	Apps   []randomApp
}

func (r *randomRepo) clone() *randomRepo {
	data, err := json.Marshal(r)
	c := &randomRepo{}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

// mended is the repo without invalid YAML, and says whether its applications had
// some.
func (r *randomRepo) mended() (m *randomRepo, was bool) {
	m = r.clone()
	for i := range m.Apps {
		was = was || m.Apps[i].Broken
		m.Apps[i].Broken = false
	}
	return m, was
}

func (r *randomRepo) name(prefix string) string {
	r.Next++
	return prefix + "-" + strconv.Itoa(r.Next)
}

func (r *randomRepo) nameOf(id string) string {
	for _, a := range r.Apps {
		if a.ID == id {
			return a.Name
		}
	}
	return ""
}

// files are those of the repo, by path.
func (r *randomRepo) files(w *local.World) map[string]string {
	shared := fields{"data": fields{"SHARED": strconv.Itoa(r.Shared)}}
	all := map[string]string{"clusters/local/base.yaml": randomBase(w) + "---\n" + text(
		object("v1", "Namespace", fields{"name": "annex"}, nil),
		object("v1", "ConfigMap", fields{"name": sharedVars, "namespace": "shop"}, shared),
		object("v1", "ConfigMap", fields{"name": sharedVars, "namespace": crew}, shared),
	)}
	if r.Broken {
		all["clusters/local/zz-broken.yaml"] = "kind: [\n"
	}
	for _, a := range r.Apps {
		all["clusters/local/"+a.Name+".yaml"] = text(a.document(r, w))
		maps.Copy(all, a.files(w))
	}
	return all
}

// sharedVars is a ConfigMap with variables of all applications.
const sharedVars = "vars"

// randomBase is the shop's namespace and account, which may do everything: what
// tenants may not has tests of its own.
func randomBase(w *local.World) string {
	base := strings.Replace(w.Base()["clusters/local/shop.yaml"], "namespaces: [shop]}]", `namespaces: ["*"]}]`, 1)
	return strings.Replace(base, "namespaces: [shop]\n", "namespaces: [shop, "+crew+"]\n", 1) + `---
apiVersion: v1
kind: Namespace
metadata: {name: crew}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: crew}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}, {kind: ServiceAccount, name: deployer, namespace: crew}]
`
}

// crew is the other namespace of Applications, and begins the names of those in it. They
// deploy to where the shop's do, and one Project is of both.
const crew = "crew"

// namespaceOf is the namespace of an Application.
func namespaceOf(app string) string {
	if strings.HasPrefix(app, crew) {
		return crew
	}
	return "shop"
}

// text is a stream of documents.
func text(documents ...fields) string {
	var all []string
	for _, d := range documents {
		data, err := yaml.Marshal(d)
		if err != nil {
			panic(err)
		}
		all = append(all, string(data))
	}
	return strings.Join(all, "---\n")
}

// document is the Application.
func (a *randomApp) document(r *randomRepo, w *local.World) fields {
	path := a.Dir
	if a.Shape == "kustomize" {
		path += "/overlay"
	}
	source := fields{"repository": w.RepoURL, "branch": "main", "path": path}
	if a.Shape == "detected" {
		source["kustomize"] = fields{"autodetect": true}
	}
	spec := fields{
		"source":      source,
		"destination": fields{"namespace": "shop", "serviceAccount": "deployer"},
		"sync":        fields{"resync": strconv.Itoa(a.Resync) + "m", "allowEmpty": a.Empties, "prune": !a.Leaves},
	}
	if len(a.Labels) > 0 {
		spec["labels"] = a.Labels
	}
	if len(a.Annotations) > 0 {
		spec["annotations"] = a.Annotations
	}
	if a.Annex {
		spec["destination"] = fields{"namespace": "annex", "serviceAccount": "deployer"}
	}
	if a.Substitutes {
		spec["substitute"] = fields{"vars": fields{"OWN": strconv.Itoa(a.Value)}, "from": []fields{{"configMap": sharedVars}}}
	}
	var needs []fields
	for _, id := range a.DependsOn {
		name := r.nameOf(id)
		needs = append(needs, fields{"name": name, "namespace": namespaceOf(name)})
	}
	if needs != nil {
		spec["dependsOn"] = needs
	}
	if a.Ignores {
		spec["ignore"] = []fields{{"kind": "ConfigMap", "paths": []string{"/data/left"}}}
	}
	if a.Orphans {
		spec["onDelete"] = "orphan"
	}
	metadata := fields{"name": a.Name, "namespace": namespaceOf(a.Name)}
	if a.Suspended {
		metadata["annotations"] = fields{"slipway.dev/suspend": "for a while"}
	}
	return fields{"apiVersion": "slipway.dev/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}
}

// files are what an Application's path holds.
func (a *randomApp) files(w *local.World) map[string]string {
	all, dir := map[string]string{}, a.Dir+"/"
	switch a.Shape {
	case "kustomize":
		dir += "base/"
	case "helm":
		dir += "templates/"
	}
	var names []string
	put := func(name string, documents ...fields) {
		all[dir+name] = text(documents...)
		names = append(names, name)
	}
	for _, u := range a.Units {
		put(u.Name+".yaml", u.objects(w)...)
	}
	if a.Runs && len(a.Units) > 0 {
		put("runs.yaml", a.runs(w))
	}
	for _, h := range a.Hooks {
		put("hook-"+h.When+".yaml", h.job(a.ID, w))
	}
	slices.Sort(names)
	switch {
	case a.Shape == "kustomize":
		a.kustomize(all, names)
	case a.Shape == "helm":
		a.chart(all)
	case a.Shape == "detected" && len(names) > 0:
		a.part(all, names)
	case len(names) == 0:
		all[dir+"empty.yaml"] = "# nothing\n"
	}
	if a.Broken {
		all[dir+"zz-broken.yaml"] = "apiVersion: v1\nkind: [\n"
		if a.Shape == "kustomize" {
			all[dir+"kustomization.yaml"] = text(fields{"resources": append(names, "zz-broken.yaml")})
		}
	}
	return all
}

func (a *randomApp) kustomize(all map[string]string, names []string) {
	base := fields{"resources": names}
	if len(names) == 0 {
		base = fields{"resources": []string{}}
	}
	overlay := fields{
		"resources": []string{"../base"}, "labels": []fields{{"pairs": fields{"overlay": "v" + strconv.Itoa(a.Value)}}},
		"commonAnnotations": fields{"overlay": a.ID},
	}
	if len(a.Units) > 0 { // its name has a hash of what it holds
		overlay["configMapGenerator"] = []fields{{"name": a.ID + "-generated", "literals": []string{"value=" + strconv.Itoa(a.Value)}}}
	}
	all[a.Dir+"/base/kustomization.yaml"], all[a.Dir+"/overlay/kustomization.yaml"] = text(base), text(overlay)
}

// part has a kustomization of every second file, in a folder of its own.
func (a *randomApp) part(all map[string]string, names []string) {
	var below []string
	for i := 1; i < len(names); i += 2 {
		below = append(below, names[i])
		all[a.Dir+"/part/"+names[i]] = all[a.Dir+"/"+names[i]]
		delete(all, a.Dir+"/"+names[i])
	}
	all[a.Dir+"/part/kustomization.yaml"] = text(fields{
		"resources": below, "commonAnnotations": fields{"part": a.ID},
		"configMapGenerator": []fields{{"name": a.ID + "-generated", "literals": []string{"value=" + strconv.Itoa(a.Value)}}},
	})
}

const entriesTemplate = `{{- if .Values.entries }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-entries
data:
{{- range $name, $value := .Values.entries }}
  {{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
`

func (a *randomApp) chart(all map[string]string) {
	entries := fields{}
	for i := range 1 + a.Value%3 {
		entries["entry"+strconv.Itoa(i)] = a.Value
	}
	if len(a.Units) == 0 {
		entries = fields{}
	}
	all[a.Dir+"/Chart.yaml"] = text(fields{"apiVersion": "v2", "name": a.ID, "version": "0.1.0"})
	all[a.Dir+"/values.yaml"] = text(fields{"entries": entries})
	all[a.Dir+"/templates/entries.yaml"] = entriesTemplate
}

// job is a hook, which ends well.
func (h hook) job(id string, w *local.World) fields {
	key, value, _ := strings.Cut(hookStyles[cmp.Or(h.Style, "slipway")][h.When], "=")
	return object("batch/v1", "Job", fields{"name": id + "-" + h.When, "annotations": fields{key: value}}, fields{"spec": fields{
		"template": fields{"spec": fields{"restartPolicy": "Never", "containers": []fields{
			{"name": "main", "image": w.Image(local.WebImage, "1.0.0"), "args": []string{fmt.Sprint(h.Value)}},
		}}},
	}})
}
