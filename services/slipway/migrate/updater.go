package migrate

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// tracked is an image that a version is wanted of, as the Image Updater is told
// of it: by annotations of an Application, or by a document of its own.
type tracked struct {
	image             string // with its constraint, if it has one, behind the last colon
	strategy, allow   string
	ignore, platforms []string
	// Where they stand.
	at, allowAt, strategyAt value
}

// images writes a rule for each image that an Application's annotations name.
func (a *argo) images(s *source, parts []part) {
	list, ok := s.setting(updaterMark + "image-list")
	if !ok {
		return
	}
	mode := a.writeBack(s)
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		alias, image, named := strings.Cut(entry, "=")
		if !named {
			alias, image = "", entry
		}
		a.track(s, a.patterns(s, parts), mode, s.tracked(strings.TrimSpace(alias), image))
	}
}

// tracked reads what annotations say of an image.
func (s *source) tracked(alias, image string) tracked {
	t := tracked{image: image, at: s.annotationsAt.at(updaterMark + "image-list")}
	t.allow, t.allowAt = s.option(alias, "allow-tags")
	t.strategy, t.strategyAt = s.option(alias, "update-strategy")
	for name, list := range map[string]*[]string{"ignore-tags": &t.ignore, "platforms": &t.platforms} {
		text, _ := s.option(alias, name)
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*list = append(*list, one)
			}
		}
	}
	return t
}

// option is a setting of an image, or of the whole Application.
func (s *source) option(alias, name string) (text string, at value) {
	whole, _ := s.setting(updaterMark + name)
	at = s.annotationsAt.at(updaterMark + name)
	if alias == "" {
		return whole, at
	}
	if own, ok := s.setting(updaterMark + alias + "." + name); ok {
		return own, s.annotationsAt.at(updaterMark + alias + "." + name)
	}
	return whole, at
}

// pattern is how policies name an application.
func (a *argo) pattern(namespace, name string) string {
	return cmp.Or(a.Cluster, "*") + "/" + namespace + "/" + name
}

// track writes the rule of an image, into the policy of its document's folder.
func (a *argo) track(s *source, applications []any, mode string, t tracked) {
	name, constraint := t.image, ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, constraint = name[:i], name[i+1:]
	}
	repo, err := repository(name)
	if err != nil {
		t.at.note(Wrong, t.image+": "+err.Error(), "no rule is written for it")
		return
	}
	rule := t.rule(constraint)
	if rule == nil || !usable(t.at, rule["track"].(tree)) {
		return
	}
	rule["applications"], rule["images"], rule["mode"] = applications, []any{repo}, mode
	folder := path.Dir(s.file)
	if a.first[folder] == nil {
		a.folders, a.first[folder] = append(a.folders, folder), s
	}
	a.rules[folder] = append(a.rules[folder], rule)
}

// rule is how versions are chosen; nil where we can't say it.
func (t tracked) rule(constraint string) tree {
	var filter api.Filter
	switch expression, isRegexp := strings.CutPrefix(t.allow, "regexp:"); {
	case isRegexp:
		filter.Match = expression
	case t.allow != "" && t.allow != "any":
		t.allowAt.note(Missing, "only regexp: and any are known", "write match of the rule's track by hand; no rule is written")
		return nil
	}
	if _, err := regexp.Compile(filter.Match); err != nil {
		t.allowAt.note(Wrong, err.Error(), "no rule is written")
		return nil
	}
	if hasOrder(filter.Match) {
		t.allowAt.note(Missing, groupOrder, renameGroup)
		return nil
	}
	for _, pattern := range t.ignore {
		filter.Ignore = append(filter.Ignore, glob(pattern))
	}
	rule := tree{"pin": "tag"}
	set(rule, anyList(t.platforms), "platforms")
	return t.choose(constraint, filter, rule)
}

// choose writes the track of a rule; nil where there is none for it.
func (t tracked) choose(constraint string, filter api.Filter, rule tree) tree {
	at := t.strategyAt
	if at.node == nil {
		at = t.at
	}
	switch t.strategy {
	case "", "semver":
		semver := tree{"range": cmp.Or(constraint, "*")}
		if filter.Match == "" && len(filter.Ignore) == 0 {
			rule["track"] = tree{"semver": semver["range"]}
		} else {
			rule["track"] = tree{"semver": withFilter(semver, filter)}
		}
	case "latest", "newest-build":
		rule["track"] = tree{"newest": withFilter(tree{"order": "created"}, filter)}
	case "name", "alphabetical":
		rule["track"] = tree{"alphabetical": withFilter(tree{}, filter)}
	case "digest":
		tag := cmp.Or(constraint, "latest")
		if !events.ValidTag(tag) {
			t.at.note(Wrong, tag+" is not a tag", "no rule is written")
			return nil
		}
		rule["track"] = tree{"digest": tag}
		delete(rule, "pin")
	default:
		at.note(Missing, "the strategy "+t.strategy+" isn't known", "write the rule's track by hand; no rule is written")
		return nil
	}
	if constraint != "" && rule["track"].(tree)["semver"] == nil && t.strategy != "digest" {
		t.at.note(Different, "the constraint "+constraint+" counts for nothing with "+t.strategy, "")
	}
	return rule
}

// writeBack is how a new version is brought in, by an Application's annotations.
func (a *argo) writeBack(s *source) (mode string) {
	method, ok := s.setting(updaterMark + "write-back-method")
	at := s.annotationsAt.at(updaterMark + "write-back-method")
	if !ok {
		at = s.annotationsAt.at(updaterMark + "image-list")
	}
	branch, _ := s.setting(updaterMark + "git-branch")
	mode = written(method, at, branch, s.annotationsAt.at(updaterMark+"git-branch"))
	for _, known := range sortedKeys(s.annotations) {
		name, ours := strings.CutPrefix(known, updaterMark)
		if !ours {
			continue
		}
		for _, found := range []string{"helm.image-name", "helm.image-tag", "helm.image-spec", "kustomize.image-name", "write-back-target"} {
			if name == found || strings.HasSuffix(name, "."+found) {
				s.used[known] = true
				s.annotationsAt.at(known).note(Different, "where an image is written is found by itself", "see the automator's README; `slipway image set --dry-run` shows it")
			}
		}
	}
	return mode
}

// written is how a new version is brought in, and what of it is different.
func written(method string, at value, branch string, branchAt value) (mode string) {
	if !strings.HasPrefix(method, "git") {
		at.note(Different, "versions are written to Git, not into the Application of the cluster", "give the automator a token that may push")
	} else if _, secret, found := strings.Cut(method, ":"); found {
		at.note(Different, "credentials of repositories ("+secret+") are in the config", "name them in slipway.yaml, under repositories[].credentials")
	}
	if base, target, found := strings.Cut(branch, ":"); found && target != base {
		branchAt.note(Different, "what is chosen is pushed to another branch", "the rule's mode is pullRequest: they are opened by themselves, against the branch of the application")
		return "pullRequest"
	}
	return "automatic"
}
