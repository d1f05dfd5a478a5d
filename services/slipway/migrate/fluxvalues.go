package migrate

import (
	"cmp"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// hashed is a name with what kustomize's generators put behind it.
var hashed = regexp.MustCompile(`-[2456789bcdfghkmt]{10}$`)

// valuesFrom writes which ConfigMaps and Secrets have values. What a ConfigMap has of
// a file is taken from that: the name of a generated one goes with its next change.
func (f *flux) valuesFrom(s *source, holder *fluxApp, out tree) {
	source, _ := out["source"].(tree)
	helm, _ := source["helm"].(tree)
	files, _ := helm["valuesFiles"].([]any)
	dir, _ := source["path"].(string)
	var entries []any
	mapped, pathed := false, false
	for _, v := range s.at("spec", "valuesFrom").items() {
		one, made := valuesEntry(v, s, holder)
		if one == nil {
			continue
		}
		at := one["targetPath"] != nil
		if !at && !mapped { // files come before what is in the cluster
			if file := f.fileOf(s, holder, made, v.at("valuesKey").text()); file != "" {
				files = append(files, relative(cleanPath(dir), file))
				continue
			}
		}
		if !at && pathed {
			v.note(Different, "what has a targetPath counts over every mapping, whatever their order", "look at what `slipway diff` shows")
		}
		mapped, pathed = mapped || !at, pathed || at
		if made != nil && hashed.MatchString(made.Name) {
			v.at("name").note(Different, made.Kind+" "+made.Name+" has a hash in its name, which is another when its content changes", "write disableNameSuffixHash: true into the generator's options, and the name without the hash into the Application")
		}
		entries = append(entries, one)
	}
	set(out, files, "source", "helm", "valuesFiles")
	set(out, entries, "source", "helm", "valuesFrom")
}

// valuesEntry is one of ours, and the object that it names if the holder makes that; nil
// where it can't be one.
func valuesEntry(v value, s *source, holder *fluxApp) (one tree, made *render.Object) {
	kind, name, key, target := v.at("kind").text(), v.at("name").text(), v.at("valuesKey").text(), v.at("targetPath").text()
	literal, optional := v.at("literal").is(false) && target != "", v.at("optional").is(false)
	field := map[string]string{"ConfigMap": "configMap", "Secret": "secret"}[kind]
	if field == "" || name == "" {
		v.note(Wrong, "is neither a ConfigMap nor a Secret with a name", "mend it there first")
		return nil, nil
	}
	if target != "" && !literal {
		v.note(Different, "what is in the key is one value as it stands; Flux finds lists in {a,b} and takes backslashes away", "take the backslashes out of it, and write a list into a mapping")
	}
	one = tree{}
	set(one, name, field)
	if key != api.DefaultValuesKey {
		set(one, key, "key")
	}
	set(one, target, "targetPath")
	if literal {
		set(one, true, "literal")
	}
	if optional {
		set(one, true, "optional")
	}
	return one, madeBy(holder, s, kind, name)
}

// madeBy is the ConfigMap or Secret of a release that its holder makes.
func madeBy(holder *fluxApp, s *source, kind, name string) *render.Object {
	if holder == nil {
		return nil
	}
	for i, o := range holder.rendered {
		if o.APIVersion == "v1" && o.Kind == kind && o.Name == name && cmp.Or(o.Namespace, s.namespace) == s.namespace {
			return &holder.rendered[i]
		}
	}
	return nil
}

// fileOf is the file with the very text that a ConfigMap has in a key; empty where
// there is none in the repository of the release's Application.
func (f *flux) fileOf(s *source, holder *fluxApp, made *render.Object, key string) string {
	if made == nil || made.Kind != "ConfigMap" || !ofOneRepository(s, holder) {
		return ""
	}
	data, _ := made.Map["data"].(map[string]any)
	text, _ := data[cmp.Or(key, api.DefaultValuesKey)].(string)
	if text == "" || strings.Contains(text, "${") && holder.s.at("spec", "postBuild").there() {
		return "" // variables are not replaced in a values file
	}
	var found string
	for _, dir := range []string{path.Dir(cmp.Or(originFile(s), s.file)), holder.path} {
		if found == "" && dir != "" {
			found = withText(f.FS, dir, cmp.Or(key, api.DefaultValuesKey), text)
		}
	}
	return found
}

// ofOneRepository says whether a release's Application has the files that its holder has.
func ofOneRepository(s *source, holder *fluxApp) bool {
	ref, theirs := s.at("spec", "chart", "spec", "sourceRef"), holder.s.at("spec", "sourceRef")
	if ref.at("kind").text() != "GitRepository" {
		return true // the chart lies elsewhere, and the Application's path is the holder's
	}
	return ref.at("name").text() == theirs.at("name").text() &&
		cmp.Or(ref.at("namespace").text(), s.namespace) == cmp.Or(theirs.at("namespace").text(), holder.s.namespace)
}

// withText is the file below a folder that has a text; of several the one of a name.
func withText(fsys fs.FS, dir, name, text string) (found string) {
	_ = fs.WalkDir(fsys, dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // what can't be read isn't it
		}
		info, err := e.Info()
		if err != nil || info.Size() != int64(len(text)) || found != "" && path.Base(file) != name {
			return nil //nolint:nilerr // nor is this
		}
		if data, err := fs.ReadFile(fsys, file); err == nil && string(data) == text {
			found = file
		}
		return nil
	})
	return found
}
