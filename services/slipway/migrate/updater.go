package migrate

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// images writes a rule for each image that Argo CD's Image Updater is told of.
func (a *argo) images(s *source) {
	list, ok := s.setting(updaterMark + "image-list")
	if !ok {
		return
	}
	at := s.annotationsAt.at(updaterMark + "image-list")
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
		name, constraint := image, ""
		if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
			name, constraint = image[:i], image[i+1:]
		}
		repo, err := repository(name)
		if err != nil {
			at.note(Wrong, entry+": "+err.Error(), "no rule is written for it")
			continue
		}
		rule := a.updaterRule(s, at, strings.TrimSpace(alias), constraint)
		if rule == nil {
			continue
		}
		rule["applications"] = []any{cmp.Or(a.Cluster, "*") + "/" + s.namespace + "/" + s.name}
		rule["images"], rule["mode"] = []any{repo}, mode
		folder := path.Dir(s.file)
		if a.first[folder] == nil {
			a.folders, a.first[folder] = append(a.folders, folder), s
		}
		a.rules[folder] = append(a.rules[folder], rule)
	}
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

func (a *argo) updaterRule(s *source, list value, alias, constraint string) tree {
	allow, allowAt := s.option(alias, "allow-tags")
	match := ""
	switch expression, isRegexp := strings.CutPrefix(allow, "regexp:"); {
	case isRegexp:
		match = expression
	case allow != "" && allow != "any":
		allowAt.note(Missing, "only regexp: and any are known", "write match of the rule's track by hand; no rule is written")
		return nil
	}
	if _, err := regexp.Compile(match); err != nil {
		allowAt.note(Wrong, err.Error(), "no rule is written")
		return nil
	}
	var ignore []string
	text, _ := s.option(alias, "ignore-tags")
	for pattern := range strings.SplitSeq(text, ",") {
		if pattern = strings.TrimSpace(pattern); pattern != "" {
			ignore = append(ignore, glob(pattern))
		}
	}
	rule := tree{"pin": "tag"}
	if platforms, _ := s.option(alias, "platforms"); platforms != "" {
		var all []any
		for p := range strings.SplitSeq(platforms, ",") {
			all = append(all, strings.TrimSpace(p))
		}
		rule["platforms"] = all
	}
	return s.strategy(list, alias, constraint, match, ignore, rule)
}

// strategy writes the track of a rule; nil where there is none for it.
func (s *source) strategy(list value, alias, constraint, match string, ignore []string, rule tree) tree {
	strategy, at := s.option(alias, "update-strategy")
	if at.node == nil {
		at = list
	}
	switch strategy {
	case "", "semver":
		t := tree{"range": cmp.Or(constraint, "*")}
		if match == "" && len(ignore) == 0 {
			rule["track"] = tree{"semver": t["range"]}
		} else {
			rule["track"] = tree{"semver": withFilter(t, match, ignore)}
		}
	case "latest", "newest-build":
		rule["track"] = tree{"newest": withFilter(tree{"order": "created"}, match, ignore)}
	case "name", "alphabetical":
		rule["track"] = tree{"alphabetical": withFilter(tree{}, match, ignore)}
	case "digest":
		tag := cmp.Or(constraint, "latest")
		if !events.ValidTag(tag) {
			list.note(Wrong, tag+" is not a tag", "no rule is written")
			return nil
		}
		rule["track"] = tree{"digest": tag}
		delete(rule, "pin")
	default:
		at.note(Missing, "the strategy "+strategy+" isn't known", "write the rule's track by hand; no rule is written")
		return nil
	}
	if constraint != "" && rule["track"].(tree)["semver"] == nil && strategy != "digest" {
		list.note(Different, "the constraint "+constraint+" counts for nothing with "+strategy, "")
	}
	return rule
}

// writeBack is how a new version is brought in.
func (a *argo) writeBack(s *source) (mode string) {
	method, ok := s.setting(updaterMark + "write-back-method")
	at := s.annotationsAt.at(updaterMark + "write-back-method")
	if !ok {
		at = s.annotationsAt.at(updaterMark + "image-list")
	}
	if !strings.HasPrefix(method, "git") {
		at.note(Different, "versions are written to Git, not into the Application of the cluster", "give the automator a token that may push")
	} else if _, secret, found := strings.Cut(method, ":"); found {
		at.note(Different, "credentials of repositories ("+secret+") are in the config", "name them in slipway.yaml, under repositories[].credentials")
	}
	mode = "automatic"
	if branch, ok := s.setting(updaterMark + "git-branch"); ok {
		base, target, found := strings.Cut(branch, ":")
		if found && target != base {
			mode = "pullRequest"
			s.annotationsAt.at(updaterMark+"git-branch").note(Different, "what is chosen is pushed to another branch", "the rule's mode is pullRequest: they are opened by themselves, against the branch of the application")
		}
	}
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
