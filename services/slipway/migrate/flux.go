package migrate

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// flux is a migration from Flux.
type flux struct {
	Options
	ctx     context.Context
	w       writer
	sources []*source
	made    []*source        // HelmReleases as they are rendered
	used    map[*source]bool // OCIRepositories of which a chart is taken
	told    map[string]bool  // GitRepositories that aren't in the repository
	apps    []*fluxApp
	roots   []*fluxApp // Kustomizations that apply themselves
	sets    takenIn
	home    string // the address of the repository that is read, by its own documents; empty: unknown
}

// fluxApp is one Kustomization or HelmRelease of a cluster.
type fluxApp struct {
	s        *source
	file     string // to write to
	doc      tree   // nil: none is written
	path     string // of what it renders; empty: elsewhere
	touched  func(changed []string) bool
	cluster  string   // the folder of the file: what is there belongs together
	holder   *fluxApp // the Kustomization that makes a HelmRelease; nil for others
	name     string   // of its Application, where that isn't the source's
	rendered []render.Object
	failed   bool // it can't be rendered
}

// fluxGroup says whether objects of a group are Flux's settings.
func fluxGroup(group string) bool {
	return strings.HasSuffix(group, ".fluxcd.io")
}

// fluxMark is in the names of Flux's own labels and annotations.
const fluxMark = "toolkit.fluxcd.io/"

// Flux reads Flux's documents of a repository, and gives ours that do the same.
func Flux(ctx context.Context, o Options) (Result, error) {
	n := &notes{}
	f := &flux{Options: o, ctx: ctx, w: writer{notes: n}, told: map[string]bool{}, used: map[*source]bool{}}
	var err error
	if f.sources, err = readAll(ctx, o.FS, cleanPath(o.Below), fluxGroup, []string{"fluxcd.io"}, n); err != nil {
		return Result{}, err
	}
	if len(f.sources) == 0 {
		return f.w.result(), fault("%s has no document of Flux", cleanPath(o.Below))
	}
	f.sets = takenInBy(o.FS)
	f.home = f.findHome()
	f.kustomizations()
	f.releases()
	for _, a := range f.apps {
		if a.doc != nil {
			if _, ok := checked(a.file, a.s, a.doc); !ok {
				a.doc = nil // nobody can wait for it
			}
		}
	}
	f.distinct()
	f.dependencies()
	for _, a := range f.apps {
		if a.doc == nil {
			continue
		}
		file, ok := f.w.write(a.file, a.s, a.doc)
		if !ok {
			a.doc = nil
			continue
		}
		f.w.moved = append(f.w.moved, Moved{From: a.s.id(), To: a.s.namespace + "/" + a.called(), File: file})
	}
	f.policies()
	f.unused()
	finish(append(f.sources, f.made...), fluxAdvice)
	return f.w.result(), ctx.Err()
}

func (f *flux) of(kind string) []*source {
	var all []*source
	for _, s := range f.sources {
		if s.kind == kind {
			all = append(all, s)
		}
	}
	return all
}

// find finds what a reference means: the same kind and name, and of several (as
// in a repository of many clusters) the one whose file is the closest, to that of who
// makes it or to the one that it is made of.
func (f *flux) find(from *source, kind, namespace, name string) *source {
	var best *source
	most := -1
	for _, s := range f.of(kind) {
		if s.name != name || cmp.Or(s.namespace, namespace) != namespace {
			continue
		}
		c := common(path.Dir(s.file), path.Dir(from.file))
		if made := originFile(from); made != "" {
			c = max(c, common(path.Dir(s.file), path.Dir(made)))
		}
		if c > most {
			best, most = s, c
		}
	}
	return best
}

// common is how many folders two paths have in common.
func common(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

// kustomization reads one; nil where there is nothing to write for it.
func (f *flux) kustomization(s *source) *fluxApp {
	spec := s.at("spec")
	a := &fluxApp{s: s, file: s.file, path: cleanPath(spec.at("path").text()), cluster: path.Dir(s.file)}
	if s.namespace == "" {
		s.namespace = "flux-system"
		s.at("metadata").note(Different, "it names no namespace, and no kustomization sets one", "flux-system is taken: correct it in what is written, if that is wrong")
	}
	if itself := f.sets.applies(a.path, s.file) && f.atHome(s, a.path); itself && s.origin == nil {
		f.root(a)
		return nil
	} else if itself {
		spec.at("path").note(Different, "it applies itself, too", "take "+s.file+" out of the folder when it is cut over")
	}
	doc := document("Application", s.namespace, s.name, tree{})
	out := doc["spec"].(tree)
	ref := spec.at("sourceRef")
	var ok bool
	if a.path, ok = f.gitSource(s, ref, a.path, out); !ok {
		spec.take() // it is told why nothing is written
		return nil
	}
	set(out, a.path, "source", "path")
	f.leavesOut(s, a.path, out)
	f.kustomizationRights(s, out)
	f.kustomizationSync(s, out, doc)
	f.kustomizationContent(s, out, doc)
	carry(s, doc, fluxMark)
	f.look(a, out)
	f.apps = append(f.apps, a)
	if a.holdsOnlyFlux() {
		spec.at("path").note(Different, "it holds nothing but objects of Flux", "no Application is written for it, but one for each of its HelmReleases")
		return a
	}
	a.doc = doc
	return a
}

func (f *flux) kustomizationRights(s *source, out tree) {
	spec := s.at("spec")
	set(out, spec.at("targetNamespace").text(), "destination", "namespace")
	account := spec.at("serviceAccountName")
	set(out, account.text(), "destination", "serviceAccount")
	if !account.there() {
		spec.note(Different, "it names no serviceAccountName, so Flux applies with its own rights",
			"name an account of namespace "+s.namespace+" in spec.destination.serviceAccount, or that namespace in synchronizer.trusted of the config")
	}
	set(out, spec.at("kubeConfig", "secretRef", "name").text(), "destination", "kubeconfigSecret")
}

func (f *flux) kustomizationSync(s *source, out, doc tree) {
	spec := s.at("spec")
	set(out, spec.at("interval").text(), "sync", "resync")
	set(out, spec.at("timeout").text(), "sync", "timeout")
	policy := spec.at("deletionPolicy").text()
	if !spec.at("prune").is(false) {
		set(out, false, "sync", "prune")
		policy = cmp.Or(policy, "Orphan")
	}
	switch policy {
	case "Orphan":
		set(out, "orphan", "onDelete")
	case "MirrorPrune", "Delete", "WaitForTermination", "":
	}
	if !spec.at("wait").is(false) && !spec.at("healthChecks").there() {
		set(out, false, "sync", "wait")
	}
	spec.at("healthChecks").drop(Different, "an Application waits for all that it applies", "nothing, unless some of it never becomes ready")
	if spec.at("force").is(false) {
		set(out, "enabled", "annotations", "slipway.dev/force")
	}
	if v := spec.at("suspend"); v.is(false) {
		suspend(doc, "it was suspended in Flux")
	}
	var rules []any
	for _, check := range spec.at("healthCheckExprs").items() {
		group, _, found := strings.Cut(check.at("apiVersion").text(), "/")
		if !found {
			check.drop(Missing, "the health of Kubernetes' own kinds is known, and takes no rule", "nothing, unless it is to be another one here")
			continue
		}
		rule := tree{"group": group, "kind": check.at("kind").text()}
		set(rule, check.at("current").text(), "healthy")
		set(rule, check.at("failed").text(), "failed")
		check.at("inProgress").drop(Different, "what is neither healthy nor failed is in progress", "")
		rules = append(rules, rule)
	}
	set(out, rules, "health")
}

func (f *flux) kustomizationContent(s *source, out, doc tree) {
	spec := s.at("spec")
	set(out, spec.at("commonMetadata", "labels").texts(), "labels")
	for k, v := range spec.at("commonMetadata", "annotations").texts() {
		set(out, v, "annotations", k)
	}
	f.substitution(s, out)
	if d := spec.at("decryption"); d.there() {
		if d.at("provider").text() == "sops" {
			set(out, d.at("secretRef", "name").text(), "decryption", "secret")
		} else {
			d.drop(Missing, "only files that SOPS encrypted have a counterpart", "it is written suspended: its Secrets would be applied encrypted")
			suspend(doc, "its files are encrypted by something else than SOPS (migrated from Flux)")
		}
	}
	kustomize := overlay(spec)
	set(kustomize, spec.at("images").tree(), "images")
	set(kustomize, spec.at("targetNamespace").text(), "namespace") // of all objects, also those that name another
	set(out, kustomize, "source", "kustomize")
	spec.at("buildMetadata").drop(Missing, "annotations of where an object came from aren't written", "nothing, unless somebody reads them")
	set(out, ignoredBy(spec.at("ignore")), "ignore")
}

func (f *flux) substitution(s *source, out tree) {
	post := s.at("spec", "postBuild")
	if !post.there() {
		return
	}
	set(out, post.at("substitute").texts(), "substitute", "vars")
	var from []any
	for _, v := range post.at("substituteFrom").items() {
		one := tree{}
		switch kind := v.at("kind").text(); kind {
		case "ConfigMap":
			one["configMap"] = v.at("name").text()
		case "Secret":
			one["secret"] = v.at("name").text()
		default:
			v.at("kind").note(Wrong, "is neither ConfigMap nor Secret", "mend it there first")
			continue
		}
		v.flag("optional", one, "optional")
		from = append(from, one)
	}
	set(out, from, "substitute", "from")
	post.note(Different, "a variable without value and default is an error, and empty in Flux", "write ${NAME:=} where it may be empty")
}

// look renders the path, to know what it holds.
func (f *flux) look(a *fluxApp, out tree) {
	source, _ := out["source"].(tree)
	if address, _ := source["repository"].(string); !f.isHome(address) {
		return
	}
	if strings.Contains(a.path, "${") {
		a.s.at("spec", "path").note(Different, "it is known only when the Application that brings this one has put its variables in: what is there was not looked at", "look with `slipway diff` before the cut-over")
		return
	}
	if !exists(f.FS, a.path) {
		a.s.at("spec", "path").note(Wrong, "the repository has no "+a.path, "mend it there first")
		return
	}
	if f.generated(a.path) {
		set(out, true, "source", "kustomize", "autodetect")
	}
	request := f.request(a, a.path)
	request.Kustomize = added(out)
	result, err := render.Render(f.ctx, request)
	if err != nil { // Flux takes files from all of the repository
		if request.Kustomize == nil {
			request.Kustomize = &api.KustomizeSource{}
		}
		request.Kustomize.LoadRestrictor = api.LoadRestrictionsNone
		if anywhere, err2 := render.Render(f.ctx, request); err2 == nil {
			result, err = anywhere, nil
			set(out, api.LoadRestrictionsNone, "source", "kustomize", "loadRestrictor")
		}
	}
	a.touched = result.Touched
	if a.failed = err != nil; a.failed {
		a.s.at("spec", "path").note(Wrong, "it can't be rendered: "+err.Error(), "mend it there first: HelmReleases in it are read as they stand in their files")
		return
	}
	a.rendered = result.Objects
}

// request is for a folder as far as it can be known here: without keys and the values
// of the cluster.
func (f *flux) request(a *fluxApp, dir string) render.Request {
	return render.Request{FS: f.FS, Path: dir, Lenient: true, Sealed: true, Vars: a.s.at("spec", "postBuild", "substitute").texts()}
}

// generated says whether Flux makes a kustomization for a folder that has those of the
// folders below.
func (f *flux) generated(dir string) bool {
	if kustomized(f.FS, dir) {
		return false
	}
	below := false
	_ = fs.WalkDir(f.FS, dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && name != dir && kustomized(f.FS, name) {
			below = true
			return fs.SkipAll
		}
		return nil // what can't be read is told by the render
	})
	return below
}

// holdsOnlyFlux says whether what it renders is for Flux alone.
func (a *fluxApp) holdsOnlyFlux() bool {
	releases := false
	for _, o := range a.rendered {
		if !fluxGroup(o.Group()) && o.Kind != "Namespace" {
			return false
		}
		releases = releases || o.Kind == "HelmRelease"
	}
	return releases
}

// unused tells of objects of kinds that have no counterpart.
func (f *flux) unused() {
	for _, s := range f.sources {
		switch s.kind {
		case "Kustomization", "HelmRelease", "ImagePolicy", "ImageRepository", "ImageUpdateAutomation", "GitRepository", "HelmRepository", "ArtifactGenerator":
			continue
		}
		if f.used[s] {
			continue
		}
		what, do := fluxKinds[s.kind], "look up what it does, and whether you need it"
		if what == "" {
			what = "has no counterpart"
		} else {
			what, do, _ = strings.Cut(what, ": ")
		}
		for _, k := range s.at().keys() {
			s.at(k).take()
		}
		s.at().note(Missing, what, do)
	}
}
