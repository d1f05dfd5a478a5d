package migrate

import (
	"cmp"
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
)

// argo is a migration from Argo CD.
type argo struct {
	Options
	ctx     context.Context
	w       writer
	sources []*source
	rules   map[string][]any
	folders []string
	first   map[string]*source
	// updaters name images in the Applications' stead.
	updaters []*updater
}

const (
	argoGroup     = "argoproj.io"
	argoFinalizer = "resources-finalizer.argocd.argoproj.io"
	updaterGroup  = "argocd-image-updater.argoproj.io"
	updaterMark   = updaterGroup + "/"
)

// ArgoCD reads Argo CD's documents of a repository, and gives ours that do the
// same.
func ArgoCD(ctx context.Context, o Options) (Result, error) {
	n := &notes{}
	a := &argo{Options: o, ctx: ctx, w: writer{notes: n}, rules: map[string][]any{}, first: map[string]*source{}}
	all, err := readAll(ctx, o.FS, cleanPath(o.Below), argoGroups, []string{argoGroup}, n)
	if err != nil {
		return Result{}, err
	}
	if a.sources, err = a.built(slices.DeleteFunc(all, func(s *source) bool { return !argoKinds[s.kind] })); err != nil {
		return Result{}, err
	}
	if len(a.sources) == 0 {
		return a.w.result(), fault("%s has no document of Argo CD", cleanPath(o.Below))
	}
	var made []*source
	for _, s := range a.sources {
		s.namespace = cmp.Or(s.namespace, "argocd")
		switch s.kind {
		case "ImageUpdater":
			a.updaters = append(a.updaters, a.updater(s))
		case "ApplicationSet":
			made = append(made, a.set(s)...)
		}
	}
	a.sources = append(a.sources, made...)
	for _, s := range a.sources {
		switch s.kind {
		case "Application":
			a.application(s)
		case "AppProject":
			a.project(s)
		}
	}
	for _, u := range a.updaters {
		u.track(a)
	}
	for _, folder := range a.folders {
		name := "argocd"
		if folder != "." {
			name = strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(folder, "/", "-"), "_", "-"))
		}
		a.w.write(path.Join("policies", name+".yaml"), a.first[folder], document("DeploymentPolicy", "", name, tree{"rules": a.rules[folder]}))
	}
	finish(a.sources, argoAdvice)
	return a.w.result(), ctx.Err()
}

func (a *argo) application(s *source) {
	doc := document("Application", s.namespace, s.name, tree{})
	out := doc["spec"].(tree)
	a.destination(s, out, doc)
	a.syncPolicy(s, out, doc)
	a.differences(s, out)
	s.at("spec", "project").take()
	parts, refs := a.parts(s)
	a.several(s, parts)
	if len(parts) > 0 && !a.unread(s) {
		a.images(s, parts)
	}
	a.settings(s, doc)
	carry(s, doc, "argoproj.io/")
	for _, p := range parts {
		one := grown(doc, p.name)
		if !a.source(s, p, refs, one["spec"].(tree)) {
			continue
		}
		if file, ok := a.w.write(s.file, s, one); ok {
			a.w.moved = append(a.w.moved, Moved{From: s.id(), To: s.namespace + "/" + p.name, File: file})
		}
	}
}

// argoSettings are annotations of Applications that need no counterpart, and why.
var argoSettings = map[string]string{
	"argocd.argoproj.io/manifest-generate-paths": "only what a commit changes is rendered anyway",
	"argocd.argoproj.io/refresh":                 "it was asked for once",
	"argocd.argoproj.io/hydrate":                 "what is rendered is applied from memory",
	"argocd.argoproj.io/compare-options":         "what is sent is compared by the API server itself",
	"argocd.argoproj.io/tracking-id":             "who applies it says so by its own",
}

// settings reads the annotations by which Argo CD orders Applications, or leaves
// them alone.
func (a *argo) settings(s *source, doc tree) {
	if wave, ok := s.setting("argocd.argoproj.io/sync-wave"); ok {
		set(doc, wave, "metadata", "annotations", "slipway.dev/stage")
	}
	if skip, ok := s.setting("argocd.argoproj.io/skip-reconcile"); ok && skip == "true" {
		suspend(doc, "Argo CD was told to leave it alone")
	}
	if options, ok := s.setting(optionsOf); ok {
		set(doc, a.options(s, options), "metadata", "annotations", optionsOf)
	}
	for _, key := range sortedKeys(s.annotations) {
		why, known := argoSettings[key]
		if !known && strings.HasPrefix(key, "notifications.argoproj.io/") {
			why, known = "write an Alert of slipway.dev for whom it tells", true
		}
		if known {
			s.used[key] = true
			s.annotationsAt.at(key).note(Different, "is not taken over", why)
		}
	}
}

// source writes where the manifests are.
func (a *argo) source(s *source, p part, refs map[string]value, out tree) bool {
	from := p.from
	if from.at("chart").text() != "" {
		return a.remoteChart(s, p, refs, out)
	}
	repository := webAddress(from.at("repoURL").text())
	if repository == "" {
		from.note(Wrong, "it names no repository, which something else may add to it", "write its repoURL; no Application is written")
		from.take()
		return false
	}
	set(out, repository, "source", "repository")
	a.revision(from.at("targetRevision"), out)
	dir := cleanPath(from.at("path").text())
	set(out, dir, "source", "path")
	a.directory(from.at("directory"), dir, out)
	a.kustomize(from.at("kustomize"), out)
	return a.helm(s, p, refs, dir, out)
}

var (
	commitID  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	versionly = regexp.MustCompile(`^[v=<>~^]?v?\d+(\.(\d+|\*|x))*(-.*)?$|[<>~^*]`)
)

// revision writes what is followed.
func (a *argo) revision(v value, out tree) {
	text := v.text()
	kind := ""
	switch {
	case text == "" || text == "HEAD":
		branch := cmp.Or(a.Branch, "main")
		v.note(Different, "it follows the repository's default branch, which is taken to be "+branch, "say which it is with --branch, if it is another")
		kind, text = "branch", branch
	case commitID.MatchString(text):
		kind = "commit"
	case strings.HasPrefix(text, "refs/tags/"):
		kind, text = "tag", strings.TrimPrefix(text, "refs/tags/")
	case versionly.MatchString(text) && strings.ContainsAny(text, "<>~^*x"):
		kind = "semver"
	case versionly.MatchString(text):
		kind = "tag"
	default:
		kind, text = "branch", strings.TrimPrefix(text, "refs/heads/")
	}
	set(out, text, "source", kind)
}

// elsewhere says whether an Application is for another cluster than the one that is
// migrated, which Argo CD may know by its name.
func (a *argo) elsewhere(s *source) bool {
	d := s.at("spec", "destination")
	return a.another(d.at("server").text(), d.at("name").text())
}

// another says whether a cluster, by its address or its name, isn't the one that is migrated.
func (a *argo) another(server, name string) bool {
	return server != "" && server != "https://kubernetes.default.svc" || name != "" && name != "in-cluster" && name != a.Cluster
}

func (a *argo) destination(s *source, out, doc tree) {
	d := s.at("spec", "destination")
	if namespace := d.at("namespace").text(); namespace != s.namespace {
		set(out, namespace, "destination", "namespace")
	}
	if server, name := d.at("server").text(), d.at("name").text(); a.elsewhere(s) {
		d.note(Missing, "it is for another cluster ("+cmp.Or(name, server)+")", "run a synchronizer there, and migrate for it (--cluster); here it is written suspended")
		suspend(doc, "it is for another cluster (migrated from Argo CD)")
	}
	s.at("spec").note(Different, "Argo CD applies with its own rights",
		"name an account of namespace "+s.namespace+" in spec.destination.serviceAccount, or that namespace in synchronizer.trusted of the config")
}
