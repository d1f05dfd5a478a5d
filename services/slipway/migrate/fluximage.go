package migrate

import (
	"bytes"
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
)

// policies writes a rule for each ImagePolicy.
func (f *flux) policies() {
	marked := f.markers()
	byFolder := map[string][]any{}
	var folders []string
	first := map[string]*source{}
	for _, s := range f.of("ImagePolicy") {
		s.namespace = cmp.Or(s.namespace, "flux-system")
		rule := f.rule(s, marked)
		if rule == nil {
			continue
		}
		folder := path.Dir(s.file)
		if byFolder[folder] == nil {
			folders, first[folder] = append(folders, folder), s
		}
		byFolder[folder] = append(byFolder[folder], rule)
	}
	for _, folder := range folders {
		name := "flux"
		if folder != "." {
			name = strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(folder, "/", "-"), "_", "-"))
		}
		doc := document("DeploymentPolicy", "", name, tree{"rules": byFolder[folder]})
		f.w.write(path.Join("policies", name+".yaml"), first[folder], doc)
	}
	for _, s := range f.of("ImagePolicy") {
		s.at("metadata").take()
	}
}

// rule is what one ImagePolicy decides.
func (f *flux) rule(s *source, marked map[string][]string) tree {
	spec := s.at("spec")
	ref := spec.at("imageRepositoryRef")
	namespace := cmp.Or(ref.at("namespace").text(), s.namespace)
	images := f.find(s, "ImageRepository", namespace, ref.at("name").text())
	if images == nil {
		ref.note(Wrong, "ImageRepository "+namespace+"/"+ref.at("name").text()+" isn't in the repository", "no rule is written")
		return nil
	}
	image, err := repository(images.at("spec", "image").text())
	if err != nil {
		images.at("spec", "image").note(Wrong, err.Error(), "no rule is written")
		return nil
	}
	track, ok := f.track(s, images)
	if !ok || !usable(spec.at("policy"), track) {
		return nil
	}
	rule := tree{"images": []any{image}, "track": track, "mode": "automatic"}
	if digest := spec.at("digestReflectionPolicy").text(); digest == "" || digest == "Never" {
		rule["pin"] = "tag"
	} else if digest == "IfNotPresent" {
		spec.at("digestReflectionPolicy").note(Different, "the digest is written whenever the tag is", "")
	}
	f.mode(s, rule)
	f.applications(s, rule, marked)
	return rule
}

// track is how a tag is chosen.
func (f *flux) track(s, images *source) (tree, bool) {
	spec := s.at("spec")
	filter := api.Filter{Match: spec.at("filterTags", "pattern").text(), Ignore: images.at("spec", "exclusionList").list()}
	if filter.Match != "" {
		filter.Extract = spec.at("filterTags", "extract").text()
	}
	if filter.Extract == "" && hasOrder(filter.Match) {
		spec.at("filterTags", "pattern").note(Missing, groupOrder, renameGroup)
		return nil, false
	}
	policy := spec.at("policy")
	switch semver, alphabetical, numerical := policy.at("semver"), policy.at("alphabetical"), policy.at("numerical"); {
	case semver.there():
		t := tree{"range": semver.at("range").text()}
		if strings.Contains(t["range"].(string), "-0") {
			t["prereleases"] = true
		}
		if filter.Match == "" && len(filter.Ignore) == 0 && t["prereleases"] == nil {
			return tree{"semver": t["range"]}, true
		}
		return tree{"semver": withFilter(t, filter)}, true
	case alphabetical.there(), numerical.there():
		kind, v := "alphabetical", alphabetical
		if numerical.there() {
			kind, v = "numeric", numerical
		}
		v.take()
		if order := v.at("order").text(); order == "desc" {
			v.at("order").note(Missing, "our tracks take the greatest", "write a track for it by hand; no rule is written")
			return nil, false
		}
		if tag := fixed(filter.Match); tag != "" {
			return tree{"digest": tag}, true
		}
		return tree{kind: withFilter(tree{}, filter)}, true
	}
	policy.note(Wrong, "it has neither semver, alphabetical nor numerical", "no rule is written")
	return nil, false
}

// mode is what the ImageUpdateAutomation of the policy's namespace says.
func (f *flux) mode(s *source, rule tree) {
	var found *source
	for _, a := range f.of("ImageUpdateAutomation") {
		if cmp.Or(a.namespace, "flux-system") == s.namespace && (found == nil || common(path.Dir(a.file), path.Dir(s.file)) > common(path.Dir(found.file), path.Dir(s.file))) {
			found = a
		}
	}
	if found == nil {
		rule["mode"] = "never"
		s.at("spec").note(Different, "no ImageUpdateAutomation of its namespace writes what it chooses", "the rule's mode is never: set another, if you want it")
		return
	}
	spec := found.at("spec")
	if spec.at("suspend").is(false) || s.at("spec", "suspend").is(false) {
		rule["mode"] = "never"
		s.at("spec").note(Different, "it, or its ImageUpdateAutomation, is suspended", "the rule's mode is never: set another when it is to go on")
	}
	from, to := spec.at("git", "checkout", "ref", "branch").text(), spec.at("git", "push", "branch").text()
	if to != "" && to != from {
		rule["mode"] = "pullRequest"
		spec.at("git", "push", "branch").note(Different, "what is chosen is pushed to another branch", "the rules' mode is pullRequest: they are opened by themselves, against the branch of the application")
	}
	spec.at("sourceRef").take()
	spec.at("update", "path").take()
	if v := spec.at("update", "strategy"); v.text() != "" && v.text() != "Setters" {
		v.note(Missing, "has no counterpart", "images are found without markers, and by them")
	}
}

// applications are those whose files have the policy's marker.
func (f *flux) applications(s *source, rule tree, marked map[string][]string) {
	files := marked[s.namespace+":"+s.name]
	cluster := cmp.Or(f.Cluster, "*")
	var names []any
	for _, a := range f.apps {
		if a.doc == nil {
			continue
		}
		uses := func(file string) bool {
			if a.s.origin != nil && a.s.origin.file == file || a.s.file == file {
				return true
			}
			if a.touched != nil {
				return a.touched([]string{file})
			}
			return a.path != "" && under(a.path, file)
		}
		name := cluster + "/" + a.s.namespace + "/" + a.called()
		if slices.ContainsFunc(files, uses) && !slices.Contains(names, any(name)) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		rule["applications"] = names
		return
	}
	rule["applications"], rule["mode"] = []any{cluster + "/**"}, "never"
	if len(files) == 0 {
		s.at("metadata").note(Different, "no file has a marker for it, so Flux wrote nothing by it", "the rule's mode is never: name its applications, and set another, if you want it")
	} else {
		s.at("metadata").note(Different, "its marker is in "+strings.Join(files, ", ")+", which no Application that is written reads", "the rule's mode is never: name its applications, and set another")
	}
}

// markers are the files that have the markers of each policy.
func (f *flux) markers() map[string][]string {
	marked := map[string][]string{}
	_ = fs.WalkDir(f.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && name != "." && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)) {
			return nil
		}
		data, err := fs.ReadFile(f.FS, name)
		if err != nil {
			return nil // it is told of when it is needed
		}
		for rest := data; ; {
			_, after, found := bytes.Cut(rest, []byte(`"$imagepolicy"`))
			if !found {
				return nil
			}
			rest = after
			line, _, _ := bytes.Cut(after, []byte("\n"))
			var marker struct {
				Policy string `yaml:"$imagepolicy"`
			}
			text, _, closed := bytes.Cut(line, []byte("}"))
			if !closed || yaml.Unmarshal(append(append([]byte(`{"$imagepolicy"`), text...), '}'), &marker) != nil {
				continue
			}
			// namespace:name, perhaps with :tag, :name or :digest behind.
			parts := strings.SplitN(marker.Policy, ":", 3)
			if len(parts) < 2 {
				continue
			}
			key := parts[0] + ":" + parts[1]
			if !slices.Contains(marked[key], name) {
				marked[key] = append(marked[key], name)
			}
		}
	})
	return marked
}
