package migrate

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

func (a *argo) remoteChart(s *source, p part, refs map[string]value, out tree) bool {
	from := p.from
	repoURL, name, version := from.at("repoURL").text(), from.at("chart").text(), from.at("targetRevision").text()
	repository, branch := a.own(), cmp.Or(a.Branch, "main")
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
	if folder, last, deeper := cutLast(name, "/"); deeper && strings.HasPrefix(repoURL, "oci://") {
		repoURL, name = strings.TrimSuffix(repoURL, "/")+"/"+folder, last
	}
	set(out, repository, "source", "repository")
	set(out, branch, "source", "branch")
	set(out, path.Dir(s.file), "source", "path")
	set(out, name, "source", "helm", "chart")
	set(out, repoURL, "source", "helm", "repository")
	set(out, version, "source", "helm", "version")
	return a.helm(s, p, refs, path.Dir(s.file), out)
}

// helm writes the settings of a chart.
func (a *argo) helm(s *source, part part, refs map[string]value, dir string, out tree) bool {
	h := part.from.at("helm")
	h.flag("skipCrds", out, "source", "helm", "skipCRDs")
	h.flag("ignoreMissingValueFiles", out, "source", "helm", "ignoreMissingValuesFiles")
	a.release(s, part, dir, out)
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
	if values == nil { // of a text that is empty
		values = tree{}
	}
	for _, p := range h.at("parameters").items() {
		parameter(p, values, len(files) > 0)
	}
	set(out, values, "source", "helm", "values")
	if namespace := h.at("namespace"); namespace.there() {
		namespace.drop(Missing, "a release's namespace is that of the destination", "write it in spec.destination.namespace")
	}
	return right
}

// release writes a release's name where it isn't that of ours: without one Argo CD
// takes the Application's for all of its sources.
func (a *argo) release(s *source, part part, dir string, out tree) {
	h := part.from.at("helm")
	name := h.at("releaseName").text()
	if name == "" && (h.there() || part.from.at("chart").there() || exists(a.FS, path.Join(dir, "Chart.yaml"))) {
		name = s.name
	}
	if name != part.name {
		set(out, name, "source", "helm", "releaseName")
	}
}

func (a *argo) sameRepository(ref value, out tree) bool {
	source, _ := out["source"].(tree)
	repository, _ := source["repository"].(string)
	return sameRepository(repository, ref.at("repoURL").text())
}

// isList says whether a parameter's value is one that Helm reads as a list.
func isList(text string) bool { return strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") }

var comma = regexp.MustCompile(`([^\\]),`)

// parameter is what `helm --set` makes of a name and a value, over the values that are
// there; files says that there are some in files, too.
func parameter(p value, values tree, files bool) {
	name, text, force := p.at("name").text(), p.at("value").text(), p.at("forceString").is(false)
	if files && strings.Contains(name, "[") {
		p.note(Missing, "it changes one entry of a list, which the values files may have", "write the whole list into values")
		return
	}
	if !isList(text) {
		text = comma.ReplaceAllString(text, `$1\,`) // as Argo CD does
	}
	set := strvals.ParseInto
	if force {
		set = strvals.ParseIntoString
	}
	if err := set(name+"="+text, values); err != nil {
		p.note(Wrong, "Helm can't read it: "+err.Error(), "mend it there first")
	}
}
