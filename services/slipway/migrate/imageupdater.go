package migrate

import (
	"cmp"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// updater is an ImageUpdater, by which the Image Updater is told since its
// version 1.0 (https://argocd-image-updater.readthedocs.io).
type updater struct {
	s         *source
	namespace string // of the Applications that it chooses from
	refs      []updaterRef
}

// updaterRef chooses Applications by a pattern of their names and by labels.
type updaterRef struct {
	at          value
	name        string
	labels      labels.Selector // nil: any
	annotations bool            // their own annotations name the images
}

// updater reads what an ImageUpdater chooses, the most specific first, as the
// Image Updater does: the first that chooses an Application is the one.
func (a *argo) updater(s *source) *updater {
	u := &updater{s: s, namespace: cmp.Or(s.at("spec", "namespace").text(), s.namespace)}
	for _, at := range s.at("spec", "applicationRefs").items() {
		ref := updaterRef{at: at, name: at.at("namePattern").text(), annotations: at.at("useAnnotations").is(false)}
		if _, err := path.Match(ref.name, ""); err != nil {
			at.at("namePattern").note(Wrong, err.Error(), "mend it there first; no rule is written")
			continue
		}
		if selector := at.at("labelSelectors"); selector.there() {
			chosen, err := selectorOf(selector.tree())
			if err != nil {
				selector.note(Wrong, err.Error(), "mend it there first; no rule is written")
				continue
			}
			ref.labels = chosen
		}
		u.refs = append(u.refs, ref)
	}
	slices.SortStableFunc(u.refs, func(x, y updaterRef) int { return cmp.Compare(y.specific(), x.specific()) })
	return u
}

func selectorOf(t any) (labels.Selector, error) {
	data, err := yaml.Marshal(t)
	if err != nil {
		return nil, err
	}
	var selector metav1.LabelSelector
	if err := yaml.UnmarshalStrict(data, &selector); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&selector)
}

// specific is larger the fewer Applications can be chosen.
func (r updaterRef) specific() int {
	score := 0
	if !strings.ContainsAny(r.name, "*?[") {
		score = 1_000_000
	}
	for _, c := range r.name {
		if !strings.ContainsRune("*?[]", c) {
			score++
		}
	}
	if r.labels != nil {
		requirements, _ := r.labels.Requirements()
		score += 1000 * (1 + len(requirements))
	}
	return score
}

// chooses says whether an Application is chosen.
func (r updaterRef) chooses(s *source) bool {
	named, err := path.Match(r.name, s.name)
	return err == nil && named && (r.labels == nil || r.labels.Matches(labels.Set(s.labels)))
}

// chosen is what an ImageUpdater says of an Application; nil: nothing.
func (u *updater) chosen(s *source) *updaterRef {
	for i := range u.refs {
		if u.namespace == s.namespace && u.refs[i].chooses(s) {
			return &u.refs[i]
		}
	}
	return nil
}

// unread tells that annotations of an Application count for nothing, since an
// ImageUpdater names its images.
func (a *argo) unread(s *source) bool {
	for _, u := range a.updaters {
		ref := u.chosen(s)
		if ref == nil || ref.annotations {
			continue
		}
		for _, key := range sortedKeys(s.annotations) {
			if strings.HasPrefix(key, updaterMark) {
				s.used[key] = true
				s.annotationsAt.at(key).note(Different, "is not read: "+u.s.id()+" names the images of this Application", "")
			}
		}
		return true
	}
	return false
}

// track writes the rules of an ImageUpdater.
func (u *updater) track(a *argo) {
	spec := u.s.at("spec")
	for i, ref := range u.refs {
		applications := u.applications(a, &u.refs[i])
		if ref.annotations {
			ref.at.take()
			continue // the rules are written of the annotations
		}
		if len(applications) == 0 {
			ref.at.take()
			ref.at.note(Missing, "it chooses no Application of this repository", "write a rule for those of others; none is written")
			continue
		}
		mode := writeBackOf(ref.at.at("writeBackConfig"), spec.at("writeBackConfig"))
		for _, image := range ref.at.at("images").items() {
			image.at("alias").take()
			image.at("manifestTargets").drop(Different, "where an image is written is found by itself", "see the automator's README; `slipway image set --dry-run` shows it")
			a.track(u.s, applications, mode, trackedOf(image, ref.at, spec))
		}
	}
	for _, field := range []string{"commonUpdateSettings", "writeBackConfig"} {
		for _, k := range spec.at(field).keys() {
			if slices.Contains([]string{"updateStrategy", "allowTags", "ignoreTags", "platforms", "method", "gitConfig"}, k) {
				spec.at(field, k).take() // a default that each image of it overrides
			}
		}
	}
}

// applications are how a rule names what a reference chooses: by its pattern, where
// that says it, and by what an Application of several sources becomes.
func (u *updater) applications(a *argo, ref *updaterRef) (all []any) {
	listed := ref.labels != nil || strings.ContainsAny(ref.name, `[]\`)
	if !listed {
		all = []any{a.pattern(u.namespace, ref.name)}
	}
	for _, s := range a.sources {
		if s.kind != "Application" || u.chosen(s) != ref {
			continue
		}
		parts, _ := a.parts(s)
		for _, p := range parts {
			if named, err := path.Match(ref.name, p.name); listed || err == nil && !named {
				all = append(all, a.pattern(s.namespace, p.name))
			}
		}
	}
	return all
}

// trackedOf reads what is said of an image, there or in what holds it.
func trackedOf(image value, holders ...value) tracked {
	setting := func(field string) value {
		for _, v := range append([]value{image}, holders...) {
			if at := v.at("commonUpdateSettings", field); at.there() {
				return at
			}
		}
		return value{}
	}
	t := tracked{image: image.at("imageName").text(), at: image.at("imageName")}
	for _, one := range []struct {
		field string
		into  *string
		at    *value
	}{{"allowTags", &t.allow, &t.allowAt}, {"updateStrategy", &t.strategy, &t.strategyAt}} {
		if at := setting(one.field); at.there() {
			*one.into, *one.at = at.text(), at
		}
	}
	for field, into := range map[string]*[]string{"ignoreTags": &t.ignore, "platforms": &t.platforms} {
		if at := setting(field); at.there() {
			*into = at.list()
		}
	}
	return t
}

// writeBackOf reads how new versions are brought in, by the first that says so.
func writeBackOf(places ...value) (mode string) {
	at := places[len(places)-1]
	for _, v := range places {
		if v.there() {
			at = v
			break
		}
	}
	git := at.at("gitConfig")
	git.at("writeBackTarget").drop(Different, "where an image is written is found by itself", "see the automator's README; `slipway image set --dry-run` shows it")
	git.at("repository").drop(Different, "it is written to the repository of the application", "")
	mode = written(at.at("method").text(), at, git.at("branch").text(), git.at("branch"))
	if pull := git.at("pullRequest"); pull.there() {
		pull.take()
		mode = "pullRequest"
	}
	return mode
}
