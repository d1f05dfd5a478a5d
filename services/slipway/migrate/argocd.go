package migrate

import (
	"cmp"
	"context"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
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
}

const (
	argoGroup     = "argoproj.io"
	argoFinalizer = "resources-finalizer.argocd.argoproj.io"
	updaterMark   = "argocd-image-updater.argoproj.io/"
)

// ArgoCD reads Argo CD's documents of a repository, and gives ours that do the
// same.
func ArgoCD(ctx context.Context, o Options) (Result, error) {
	n := &notes{}
	a := &argo{Options: o, ctx: ctx, w: writer{notes: n}, rules: map[string][]any{}, first: map[string]*source{}}
	all, err := readAll(o.FS, cleanPath(o.Below), func(g string) bool { return g == argoGroup }, []string{argoGroup}, n)
	if err != nil {
		return Result{}, err
	}
	for _, s := range all {
		switch s.kind {
		case "Application", "AppProject", "ApplicationSet", "ImageUpdater":
			a.sources = append(a.sources, s)
		}
	}
	if len(a.sources) == 0 {
		return a.w.result(), fault("%s has no document of Argo CD", cleanPath(o.Below))
	}
	for _, s := range a.sources {
		s.namespace = cmp.Or(s.namespace, "argocd")
		switch s.kind {
		case "Application":
			a.application(s)
		case "AppProject":
			a.project(s)
		default:
			for _, k := range s.at().keys() {
				s.at(k).take()
			}
			what, do := "templates of applications have no counterpart yet", "write each Application"
			if s.kind == "ImageUpdater" {
				what, do = "only its annotations are read", "write a DeploymentPolicy with a rule for each image"
			}
			s.at().note(Missing, what, do)
		}
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
	a.images(s)
	carry(s, doc, "argoproj.io/")
	if !a.source(s, out) {
		return
	}
	if a.w.write(s.file, s, doc) {
		a.w.moved = append(a.w.moved, Moved{From: s.id(), To: s.namespace + "/" + s.name, File: s.file})
	}
}

// source writes where the manifests are. Of several, all but one must be there
// for their values files alone.
func (a *argo) source(s *source, out tree) bool {
	spec := s.at("spec")
	from, refs := spec.at("source"), map[string]value{}
	if list := spec.at("sources").items(); len(list) > 0 {
		var real []value
		for _, v := range list {
			name := v.at("ref").text()
			if name != "" {
				refs["$"+name] = v
			}
			if v.at("path").there() || v.at("chart").there() || name == "" {
				real = append(real, v)
			}
		}
		if len(real) != 1 {
			spec.at("sources").note(Missing, "an Application has one source", "write one Application for each; none is written")
			for _, v := range list {
				v.take()
			}
			return false
		}
		from = real[0]
		for _, v := range refs {
			if v.node != from.node {
				v.at("targetRevision").take()
				v.at("repoURL").take()
			}
		}
	}
	chart := from.at("chart")
	if chart.there() {
		return a.remoteChart(s, from, refs, out)
	}
	set(out, webAddress(from.at("repoURL").text()), "source", "repository")
	if !a.revision(from.at("targetRevision"), out) {
		return false
	}
	dir := cleanPath(from.at("path").text())
	set(out, dir, "source", "path")
	a.directory(from.at("directory"), dir)
	a.kustomize(from.at("kustomize"), out)
	return a.helm(s, from, refs, dir, out)
}

var (
	commitID  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	versionly = regexp.MustCompile(`^[v=<>~^]?v?\d+(\.(\d+|\*|x))*(-.*)?$|[<>~^*]`)
)

// revision writes the branch.
func (a *argo) revision(v value, out tree) bool {
	text := v.text()
	kind := ""
	switch {
	case text == "" || text == "HEAD":
		branch := cmp.Or(a.Branch, "main")
		v.note(Different, "it follows the repository's default branch, which is taken to be "+branch, "say which it is with --branch, if it is another")
		set(out, branch, "source", "branch")
		return true
	case commitID.MatchString(text):
		kind = "commit"
	case strings.HasPrefix(text, "refs/tags/"):
		kind, text = "tag", strings.TrimPrefix(text, "refs/tags/")
	case versionly.MatchString(text) && strings.ContainsAny(text, "<>~^*x"):
		kind = "semver"
	case versionly.MatchString(text):
		kind = "tag"
	default:
		set(out, strings.TrimPrefix(text, "refs/heads/"), "source", "branch")
		return true
	}
	if has(kind) {
		set(out, text, "source", kind)
		return true
	}
	v.note(Missing, "an application follows a branch, and "+text+" looks like a "+kind, "use a branch that is moved to what you release; no Application is written")
	return false
}

func (a *argo) remoteChart(s *source, from value, refs map[string]value, out tree) bool {
	repoURL, name, version := from.at("repoURL").text(), from.at("chart").text(), from.at("targetRevision").text()
	if !has("remoteChart") {
		from.at("chart").note(Missing, "a chart from "+repoURL+" has no counterpart yet", "commit the chart (helm pull "+name+" --version "+cmp.Or(version, "…")+" --untar), and write its folder in spec.source.path; no Application is written")
		a.helm(s, from, refs, ".", tree{})
		return false
	}
	repository, branch := a.Repository, cmp.Or(a.Branch, "main")
	for _, v := range refs {
		repository = webAddress(v.at("repoURL").text())
	}
	if repository == "" {
		from.at("chart").note(Wrong, "it isn't known in which Git repository this lies", "say it with --repository URL; no Application is written")
		return false
	}
	if !strings.Contains(repoURL, "://") {
		repoURL = "oci://" + repoURL
	}
	set(out, repository, "source", "repository")
	set(out, branch, "source", "branch")
	set(out, path.Dir(s.file), "source", "path")
	set(out, name, "source", "helm", "chart")
	set(out, repoURL, "source", "helm", "repository")
	set(out, version, "source", "helm", "version")
	return a.helm(s, from, refs, path.Dir(s.file), out)
}

// helm writes the settings of a chart.
func (a *argo) helm(s *source, from value, refs map[string]value, dir string, out tree) bool {
	h := from.at("helm")
	if release := h.at("releaseName").text(); release != s.name {
		set(out, release, "source", "helm", "releaseName")
	}
	var files []any
	right := true
	for _, v := range h.at("valueFiles").items() {
		file := v.text()
		ref, rest, _ := strings.Cut(file, "/")
		other, isRef := refs[ref]
		switch {
		case strings.Contains(file, "://"):
			v.note(Missing, "a values file is one of the repository", "commit it; the Application is written without")
			continue
		case strings.HasPrefix(file, "$") && (!isRef || !a.sameRepository(other, out)):
			v.note(Missing, "a values file lies in the repository of the path", "move it there; no Application is written")
			right = false
			continue
		case isRef:
			file = relative(dir, cleanPath(rest))
		case strings.HasPrefix(file, "/"):
			file = relative(dir, cleanPath(file))
		}
		files = append(files, file)
	}
	set(out, files, "source", "helm", "valuesFiles")
	values := tree{}
	if text := h.at("values"); text.there() {
		if err := yaml.Unmarshal([]byte(text.text()), &values); err != nil {
			text.note(Wrong, "it is no YAML mapping: "+err.Error(), "mend it there first")
			right = false
		}
	}
	if object, ok := h.at("valuesObject").tree().(map[string]any); ok {
		values = object // Argo CD takes it instead of the text
	}
	for _, p := range h.at("parameters").items() {
		parameter(p, values)
	}
	set(out, values, "source", "helm", "values")
	if namespace := h.at("namespace"); namespace.there() {
		namespace.drop(Missing, "a release's namespace is that of the destination", "write it in spec.destination.namespace")
	}
	return right
}

func (a *argo) sameRepository(ref value, out tree) bool {
	source, _ := out["source"].(tree)
	return source != nil && source["repository"] == webAddress(ref.at("repoURL").text())
}

var dotted = regexp.MustCompile(`^[^.\[\]{},=\\]+(\.[^.\[\]{},=\\]+)*$`)

// parameter is what `helm --set` makes of a name and a value.
func parameter(p value, values tree) {
	name, text, force := p.at("name").text(), p.at("value").text(), p.at("forceString").is(false)
	if !dotted.MatchString(name) || strings.HasPrefix(text, "{") {
		p.note(Missing, "a parameter with a list or an escape in it has no counterpart", "write it into values")
		return
	}
	var v any = text
	if !force {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && (text == "0" || !strings.HasPrefix(text, "0")) {
			v = n
		} else if text == "true" || text == "false" {
			v = text == "true"
		} else if text == "null" {
			v = nil
		}
	}
	keys := strings.Split(name, ".")
	at := values
	for _, k := range keys[:len(keys)-1] {
		child, ok := at[k].(map[string]any)
		if !ok {
			child = tree{}
			at[k] = child
		}
		at = child
	}
	at[keys[len(keys)-1]] = v
}

// directory reads how a plain folder is read.
func (a *argo) directory(v value, dir string) {
	for _, field := range []string{"include", "exclude"} {
		v.at(field).drop(Missing, "files are left out by .slipwayignore", "write one into "+dir)
	}
	if v.at("recurse").is(false) || exists(a.FS, path.Join(dir, "kustomization.yaml")) || exists(a.FS, path.Join(dir, "kustomization.yml")) || exists(a.FS, path.Join(dir, "Chart.yaml")) {
		return
	}
	entries, err := fs.ReadDir(a.FS, dir)
	if err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && !strings.HasPrefix(e.Name(), ".") }) {
		v.note(Different, dir+" has folders, which Argo CD leaves out and Slipway reads", "write a .slipwayignore there, or move them")
	}
}

// kustomize writes what is set beside the kustomization.
func (a *argo) kustomize(v value, out tree) {
	if !v.there() || !has("kustomize") {
		return // it is told of as what nobody has read
	}
	var images []any
	for _, i := range v.at("images").list() {
		image := tree{}
		name, to, renamed := strings.Cut(i, "=")
		if !renamed {
			to = name
		}
		to, digest, _ := strings.Cut(to, "@")
		if at := strings.LastIndexByte(to, ':'); at > strings.LastIndexByte(to, '/') {
			set(image, to[at+1:], "newTag")
			to = to[:at]
		}
		set(image, digest, "digest")
		if !renamed {
			name = to
		} else {
			set(image, to, "newName")
		}
		image["name"] = name
		images = append(images, image)
	}
	k := tree{}
	set(k, images, "images")
	for _, field := range []string{"patches", "components"} {
		if part := v.at(field); part.there() {
			set(k, part.tree(), field)
		}
	}
	set(out, k, "source", "kustomize")
}

func (a *argo) destination(s *source, out, doc tree) {
	d := s.at("spec", "destination")
	if namespace := d.at("namespace").text(); namespace != s.namespace {
		set(out, namespace, "destination", "namespace")
	}
	server, name := d.at("server").text(), d.at("name").text()
	if server != "" && server != "https://kubernetes.default.svc" || name != "" && name != "in-cluster" {
		d.note(Missing, "another cluster ("+cmp.Or(name, server)+") has no counterpart yet", "run a synchronizer there, and write the Application to that cluster's root; it is written suspended")
		suspend(doc, "it is for another cluster (migrated from Argo CD)")
	}
	s.at("spec").note(Different, "Argo CD applies with its own rights",
		"name an account of namespace "+s.namespace+" in spec.destination.serviceAccount, or that namespace in synchronizer.trusted of the config")
}

// options are Argo CD's sync options, and what they are in ours; empty for what
// is always so.
var syncOptions = map[string]struct {
	kind     NoteKind
	what, do string
}{
	"CreateNamespace=true":              {Missing, "namespaces are not made by themselves", "put the Namespace into Git"},
	"CreateNamespace=false":             {},
	"Validate=false":                    {Missing, "the API server always validates", "mend what it complains of"},
	"ServerSideApply=true":              {},
	"ServerSideApply=false":             {Different, "it is always applied by the server", ""},
	"ApplyOutOfSyncOnly=true":           {},
	"PruneLast=true":                    {},
	"RespectIgnoreDifferences=true":     {},
	"FailOnSharedResource=true":         {},
	"SkipDryRunOnMissingResource=true":  {},
	"PrunePropagationPolicy=background": {},
	"PrunePropagationPolicy=foreground": {Different, "what is pruned is deleted in the background", ""},
	"PrunePropagationPolicy=orphan":     {Missing, "what is pruned is deleted with what it owns", "annotate what must stay with slipway.dev/prune: disabled"},
}

func (a *argo) syncPolicy(s *source, out, doc tree) {
	policy := s.at("spec", "syncPolicy")
	automated := policy.at("automated")
	if len(automated.keys()) == 0 {
		automated.take()
	}
	switch {
	case !automated.there(), !automated.at("enabled").is(true):
		policy.note(Different, "it is synced by hand", "it is written suspended: `slipway resume` has it synced by itself")
		suspend(doc, "it was synced by hand in Argo CD")
	case !automated.at("selfHeal").is(false):
		if has("selfHeal") {
			set(out, false, "sync", "selfHeal")
		} else {
			automated.note(Different, "what others change is put right", "name the fields that others set in spec.ignore")
		}
	}
	if !automated.at("prune").is(false) {
		set(out, false, "sync", "prune")
	}
	for _, v := range policy.at("syncOptions").items() {
		option := v.text()
		known, ok := syncOptions[option]
		switch {
		case option == "Replace=true", option == "Force=true":
			set(out, "enabled", "annotations", "slipway.dev/force")
		case option == "Prune=false":
			set(out, false, "sync", "prune")
		case !ok:
			v.note(Missing, "has no counterpart", "this command doesn't know it: look up what it does, and whether you need it")
		case known.what != "":
			v.note(known.kind, known.what, known.do)
		}
	}
	if !slices.Contains(s.at("metadata", "finalizers").list(), argoFinalizer) {
		set(out, "orphan", "onDelete")
	}
}

var simpleQuery = regexp.MustCompile(`^(\.[A-Za-z_][A-Za-z0-9_-]*)+$`)

// differences are the fields that others may set.
func (a *argo) differences(s *source, out tree) {
	var all []any
	for _, rule := range s.at("spec", "ignoreDifferences").items() {
		rule.at("namespace").drop(Different, "a rule is for objects of every namespace", "")
		for _, q := range rule.at("jqPathExpressions").items() {
			text := q.text()
			if !simpleQuery.MatchString(text) {
				q.note(Missing, "only fields of mappings can be left to others", "look at what `slipway diff` shows, and name a field")
				continue
			}
			if one := (tree{"kind": rule.at("kind").text(), "paths": []any{strings.ReplaceAll(text, ".", "/")}}); one["kind"] != "*" {
				set(one, rule.at("group").text(), "group")
				set(one, rule.at("name").text(), "name")
				all = append(all, one)
			}
		}
		rule.at("managedFieldsManagers").drop(Missing, "fields are named, not who sets them", "name the fields that it sets in spec.ignore")
		all = append(all, ignored(rule, rule, rule.at("jsonPointers"))...)
	}
	set(out, all, "ignore")
}

// project writes what a team may do.
func (a *argo) project(s *source) {
	if !hasProject() {
		for _, k := range s.at().keys() {
			s.at(k).take()
		}
		s.at().note(Missing, "has no counterpart yet", "an Application acts with the rights of an account of its namespace: give that what the team may do")
		return
	}
	spec := tree{}
	namespaces := append([]string{s.namespace}, s.at("spec", "sourceNamespaces").list()...)
	set(spec, anyList(namespaces), "namespaces")
	var repositories []any
	for _, v := range s.at("spec", "sourceRepos").items() {
		r := v.text()
		switch _, rest, found := strings.Cut(webAddress(r), "://"); {
		case r == "*":
			repositories = append(repositories, "**")
		case strings.HasPrefix(r, "!") || !found:
			v.note(Missing, "only patterns of what is allowed are taken", "name the repositories that are allowed")
		default:
			_, rest, _ = cutLast(rest, "@")
			repositories = append(repositories, strings.TrimSuffix(rest, ".git"))
		}
	}
	set(spec, repositories, "repositories")
	var destinations []any
	for _, d := range s.at("spec", "destinations").items() {
		server, name := d.at("server").text(), d.at("name").text()
		if server != "" && server != "*" && server != "https://kubernetes.default.svc" || name != "" && name != "in-cluster" && name != "*" {
			d.note(Missing, "another cluster has a Project of its own", "write one to that cluster's root")
			continue
		}
		destinations = append(destinations, tree{"cluster": cmp.Or(a.Cluster, "*"), "namespaces": []any{cmp.Or(d.at("namespace").text(), "*")}})
	}
	set(spec, destinations, "destinations")
	kinds := tree{}
	for field, to := range map[string]string{"namespaceResourceBlacklist": "deny", "clusterResourceBlacklist": "deny", "namespaceResourceWhitelist": "allow", "clusterResourceWhitelist": "allow"} {
		list, _ := kinds[to].([]any)
		for _, v := range s.at("spec", field).items() {
			v.at("group").take()
			list = append(list, v.at("kind").text())
		}
		slices.SortFunc(list, func(x, y any) int { return cmp.Compare(x.(string), y.(string)) })
		set(kinds, list, to)
	}
	set(spec, kinds, "kinds")
	a.w.write(s.file, s, document("Project", "", s.name, spec))
}

// cutLast cuts behind the last separator; without one, before is empty.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

func anyList(all []string) []any {
	list := make([]any, len(all))
	for i, s := range all {
		list[i] = s
	}
	return list
}

// sortedKeys are those of a mapping.
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
