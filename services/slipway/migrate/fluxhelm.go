package migrate

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/render"
)

// releases reads the HelmReleases: as the Kustomizations that hold them make
// them, and else as they stand in their files.
func (f *flux) releases() {
	seen := map[*source]bool{}
	holders := append([]*fluxApp{}, f.apps...)
	for _, holder := range holders {
		for _, o := range holder.makes("HelmRelease") {
			origin := f.origin(holder, o)
			for _, s := range readMade(holder.s.file, o, fluxGroup, origin, f.w.notes) {
				if origin != nil {
					seen[origin] = true
				}
				f.made = append(f.made, s)
				f.release(s, holder)
			}
			if holder.doc != nil {
				holder.s.at("spec", "path").note(Different, "it holds HelmRelease "+o.Name, "take that out of it when it is cut over")
			}
		}
	}
	for _, s := range f.of("HelmRelease") {
		switch {
		case seen[s]:
			s.at("spec").take() // it was read as it is rendered
		case !s.at("spec", "chart", "spec", "chart").there() && !s.at("spec", "chartRef").there():
			f.patch(s, "it names no chart", "write its values")
		default:
			holder := f.unrendered(s.file)
			if holder != nil {
				s.namespace = cmp.Or(holder.s.at("spec", "targetNamespace").text(), s.namespace)
			}
			s.namespace = cmp.Or(s.namespace, f.sets.of(s.file))
			f.release(s, holder)
		}
	}
}

// unrendered is the Kustomization that applies a file, and could not be rendered; nil
// where there is none.
func (f *flux) unrendered(file string) *fluxApp {
	for _, a := range f.apps {
		if a.failed && f.sets.applies(a.path, file) {
			return a
		}
	}
	return nil
}

func (f *flux) inSome(file string) bool {
	for _, a := range f.apps {
		if a.touched != nil && a.touched([]string{file}) {
			return true
		}
	}
	return false
}

// origin is the document in a file that a rendered object was made of: kustomizations
// may have put something before and behind its name.
func (f *flux) origin(holder *fluxApp, o render.Object) *source {
	var best *source
	for _, s := range f.of(o.Kind) {
		if !strings.HasSuffix(o.Name, s.name) && !strings.HasPrefix(o.Name, s.name) || holder.touched == nil || !holder.touched([]string{s.file}) {
			continue
		}
		names := s.at("spec", "chart", "spec", "chart").there() || s.at("spec", "chartRef").there() || s.at("spec", "sourceRef").there() // else it is a patch
		if best == nil || len(s.name) > len(best.name) || len(s.name) == len(best.name) && names {
			best = s
		}
	}
	return best
}

// release reads one HelmRelease.
func (f *flux) release(s *source, holder *fluxApp) {
	spec := s.at("spec")
	a := &fluxApp{s: s, file: s.file, cluster: path.Dir(s.file), holder: holder}
	if holder != nil {
		a.file, a.cluster = holder.file, holder.cluster
		s.namespace = cmp.Or(s.namespace, holder.s.at("spec", "targetNamespace").text())
	}
	s.namespace = cmp.Or(s.namespace, "default")
	doc := document("Application", s.namespace, s.name, tree{})
	out := doc["spec"].(tree)
	f.apps = append(f.apps, a)
	f.releaseSettings(s, out)
	if v := spec.at("suspend"); v.is(false) {
		suspend(doc, "it was suspended in Flux")
	}
	carry(s, doc, fluxMark)
	written := f.chart(s, out, holder, a)
	f.valuesFrom(s, holder, out)
	if !written {
		spec.at("chart").take() // it is told why nothing is written
		spec.at("chartRef").take()
		return
	}
	set(out, true, "source", "helm", "lookup") // as Helm itself does: what a chart has made up stays
	a.doc = doc
	f.variables(s, holder, doc)
	f.namespace(s, a.file)
}

// namespace writes the Namespace that Helm makes by itself.
func (f *flux) namespace(s *source, beside string) {
	create := s.at("spec", "install", "createNamespace")
	if !create.is(false) {
		return
	}
	name := cmp.Or(s.at("spec", "targetNamespace").text(), s.namespace)
	if file, written := f.w.bring(f.FS, name, beside, tree{}); written {
		create.note(Different, "namespaces are not made by themselves", "Namespace "+name+" is written to "+file+", and stays when its Application goes")
	}
}

// chart writes where the chart is.
func (f *flux) chart(s *source, out tree, holder, a *fluxApp) bool {
	spec := s.at("spec")
	if ref := spec.at("chartRef"); ref.there() {
		return f.artifactChart(s, ref, out, holder)
	}
	chart := spec.at("chart", "spec")
	ref := chart.at("sourceRef")
	kind, name, namespace := ref.at("kind").text(), ref.at("name").text(), cmp.Or(ref.at("namespace").text(), s.namespace)
	switch kind {
	case "GitRepository":
		var ok bool
		if a.path, ok = f.gitSource(s, ref, cleanPath(chart.at("chart").text()), out); !ok {
			return false
		}
		set(out, a.path, "source", "path")
		f.valuesFiles(s, out, a.path)
		chart.at("version").drop(Different, "the chart of the branch is taken, whatever its version", "")
		return true
	case "HelmRepository":
		repository := f.chartSource(holder, s, kind, namespace, name)
		if repository == nil {
			ref.note(Wrong, "HelmRepository "+namespace+"/"+name+" isn't in the repository", "commit the chart (helm pull --untar); no Application is written")
			return false
		}
		repository.at("spec", "type").take()
		at, name := repository.at("spec", "url").text(), chart.at("chart").text()
		if dir, base := path.Split(name); strings.HasPrefix(at, "oci://") && dir != "" { // a registry has folders
			at, name = strings.TrimSuffix(at, "/")+"/"+strings.Trim(dir, "/"), base
		}
		written := f.remoteChart(s, chart.at("chart"), out, holder, name, at, cmp.Or(chart.at("version").text(), "*"))
		if strings.HasPrefix(at, "oci://") {
			chartVerify(s, chart.at("verify"), namespace, out)
		}
		return written
	}
	ref.note(Missing, "a chart from a "+kind+" has no counterpart", "commit the chart (helm pull --untar); no Application is written")
	return false
}

// artifactChart writes a chart that is an artifact by itself.
func (f *flux) artifactChart(s *source, ref value, out tree, holder *fluxApp) bool {
	kind, name := ref.at("kind").text(), ref.at("name").text()
	oci := f.chartSource(holder, s, kind, cmp.Or(ref.at("namespace").text(), s.namespace), name)
	if kind != "OCIRepository" || oci == nil {
		ref.note(Missing, kind+" "+name+" isn't in the repository, or of a kind without counterpart", "commit the chart (helm pull --untar), and write its folder in spec.source.path; no Application is written")
		return false
	}
	f.used[oci] = true
	oci.at("spec", "layerSelector").take() // the chart is what is taken
	url := oci.at("spec", "url").text()
	at := strings.LastIndexByte(url, '/')
	version := cmp.Or(oci.at("spec", "ref", "semver").text(), oci.at("spec", "ref", "tag").text()) // in Flux' own order
	if version != "" {
		oci.at("spec", "ref", "digest").drop(Different, "the chart's version is taken, whatever its digest is", "")
	}
	written := f.remoteChart(s, ref, out, holder, url[at+1:], url[:max(at, 0)], version)
	chartVerify(s, oci.at("spec", "verify"), oci.namespace, out)
	return written
}

// chartSource is where a release has its chart from: as the Kustomization makes that
// which makes the release, with what it patches and replaces, else as it stands in a file.
func (f *flux) chartSource(holder *fluxApp, s *source, kind, namespace, name string) *source {
	if holder == nil {
		return f.find(s, kind, namespace, name)
	}
	for _, o := range holder.makes(kind) {
		if o.Name != name || cmp.Or(o.Namespace, namespace) != namespace {
			continue
		}
		origin := f.origin(holder, o)
		for _, made := range readMade(holder.s.file, o, fluxGroup, origin, f.w.notes) {
			if origin != nil {
				f.used[origin] = true
				origin.at("spec").take() // it is read as it is rendered
			}
			f.made = append(f.made, made)
			return made
		}
	}
	return f.find(s, kind, namespace, name)
}

// remoteChart writes a chart that is in no Git repository.
func (f *flux) remoteChart(s *source, at value, out tree, holder *fluxApp, chart, repository, version string) bool {
	var from *source
	if holder != nil {
		from = holder.s
	}
	ok := false
	if from != nil {
		_, ok = f.gitSource(from, from.at("spec", "sourceRef"), cleanPath(from.at("spec", "path").text()), out)
	} else if f.own() != "" {
		set(out, f.own(), "source", "repository")
		set(out, cmp.Or(f.Branch, "main"), "source", "branch")
		ok = true
	}
	if !ok {
		at.note(Wrong, "it isn't known in which Git repository this lies", "say it with --repository URL; no Application is written")
		return false
	}
	set(out, path.Dir(cmp.Or(originFile(s), s.file)), "source", "path")
	set(out, chart, "source", "helm", "chart")
	set(out, repository, "source", "helm", "repository")
	set(out, version, "source", "helm", "version")
	return true
}

func originFile(s *source) string {
	if s.origin != nil {
		return s.origin.file
	}
	return ""
}

// valuesFiles are relative to the repository in Flux, and to the path in ours.
func (f *flux) valuesFiles(s *source, out tree, dir string) {
	s.at("spec", "chart", "spec").flag("ignoreMissingValuesFiles", out, "source", "helm", "ignoreMissingValuesFiles")
	v := s.at("spec", "chart", "spec", "valuesFiles")
	var files []any
	own := false
	for _, name := range v.list() {
		file := relative(dir, cleanPath(name))
		own = own || file == "values.yaml"
		if file == "values.yaml" && len(files) == 0 {
			continue // a chart's own come first by themselves
		}
		files = append(files, file)
	}
	if len(files) > 0 && !own {
		v.note(Different, "the chart's own values.yaml is read first; Flux leaves it out where it isn't listed", "look at what `slipway diff` shows")
	}
	set(out, files, "source", "helm", "valuesFiles")
}

func (f *flux) releaseSettings(s *source, out tree) {
	spec := s.at("spec")
	target := spec.at("targetNamespace").text()
	if target != "" && target != s.namespace {
		set(out, target, "destination", "namespace")
	}
	release := spec.at("releaseName").text()
	if release == "" && target != "" {
		release = target + "-" + s.name // what Flux takes
	}
	if release != s.name {
		set(out, release, "source", "helm", "releaseName")
	}
	values, _ := spec.at("values").tree().(map[string]any)
	set(out, values, "source", "helm", "values")
	postRenderers(s, out)
	upgraded := spec.at("upgrade", "crds")
	if spec.at("install", "crds").says("Skip") && (!upgraded.there() || upgraded.says("Skip")) {
		set(out, true, "source", "helm", "skipCRDs")
	}
	chartTests(spec.at("test"), out)
	set(out, spec.at("interval").text(), "sync", "resync")
	set(out, spec.at("timeout").text(), "sync", "timeout")
	account := spec.at("serviceAccountName")
	set(out, account.text(), "destination", "serviceAccount")
	if !account.there() {
		spec.note(Different, "it names no serviceAccountName, so Flux applies with its own rights",
			"name an account of namespace "+s.namespace+" in spec.destination.serviceAccount, or that namespace in synchronizer.trusted of the config")
	}
	set(out, spec.at("commonMetadata", "labels").texts(), "labels")
	set(out, spec.at("commonMetadata", "annotations").texts(), "annotations")
	if spec.at("install", "disableWait").is(false) && spec.at("upgrade", "disableWait").is(false) {
		set(out, false, "sync", "wait")
	}
	drift := spec.at("driftDetection")
	if mode := drift.at("mode").text(); mode == "warn" || mode == "disabled" {
		set(out, false, "sync", "selfHeal")
	}
	set(out, ignoredBy(drift.at("ignore")), "ignore")
	set(out, spec.at("kubeConfig", "secretRef", "name").text(), "destination", "kubeconfigSecret")
}

// chartTests has a chart's tests run, where a failed one counts.
func chartTests(test value, out tree) {
	ignored := test.at("ignoreFailures")
	switch {
	case !test.at("enable").is(false):
	case ignored.is(false):
		ignored.note(Missing, "a test whose failure counts for nothing is not run", "set source.helm.tests where it shall count")
	default:
		set(out, true, "source", "helm", "tests")
	}
}

// ignoredBy are the rules of a list of Flux' rules.
func ignoredBy(rules value) (all []any) {
	for _, rule := range rules.items() {
		all = append(all, ignored(rule, rule.at("target"), rule.at("paths"))...)
	}
	return all
}

// ignored are rules of which fields are left to others.
func ignored(rule, target, paths value) []any {
	target.at("version").take()
	var pointers []any
	for _, p := range paths.items() {
		text := eachOf(p.text())
		if why := notAPointer(text); why != "" {
			p.note(Missing, why, "look at what `slipway diff` shows, and name a field")
			continue
		}
		pointers = append(pointers, text)
	}
	one := ruleFor(target, "paths", pointers)
	if one["kind"] == nil || one["kind"] == "*" {
		rule.note(Missing, "a rule needs the kind of the objects", "write one for each kind")
		return nil
	}
	if len(pointers) == 0 {
		return nil
	}
	return []any{one}
}

// ruleFor is a rule for the objects of a target.
func ruleFor(target value, what string, all []any) tree {
	one := tree{}
	for _, key := range []string{"kind", "group", "name"} {
		set(one, target.at(key).text(), key)
	}
	set(one, all, what)
	return one
}

// eachOf is a path as it is left to others: of labels and annotations each for itself.
func eachOf(p string) string {
	if p == "/metadata/labels" || p == "/metadata/annotations" {
		return p + "/*"
	}
	return p
}

// notAPointer says why a path can't be left to others; empty when it can.
func notAPointer(p string) string {
	keys := strings.Split(p, "/")
	if len(keys) < 2 || keys[0] != "" {
		return "it is no JSON pointer such as /spec/replicas"
	}
	if slices.Contains([]string{"apiVersion", "kind", "metadata"}, keys[1]) && len(keys) < 4 {
		return "it names what an object is known by: only labels and annotations can be left to others"
	}
	if slices.Contains(keys[1:], "") || slices.Contains(keys[1:], "-") {
		return "it is no JSON pointer to what is there"
	}
	return ""
}
