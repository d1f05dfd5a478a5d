package promote

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/render"
)

// checkPlaces tells of documents where they count for nothing.
func (t *lintTree) checkPlaces() {
	spoken := map[string]bool{}
	for _, p := range t.Repository.Policies {
		files, err := render.Files(t.FS, p.Path)
		if err != nil {
			continue // a rule that stands for the path says so
		}
		for _, f := range files {
			spoken[f] = true
		}
	}
	seen, inputs := t.seen(), t.inputs()
	for _, d := range t.docs {
		switch o := d.Object.(type) {
		case *api.DeploymentPolicy:
			if !spoken[d.File] {
				t.field(d).warns("the policy "+o.Metadata.Name+" counts for nothing: it lies in none of the config's policies' paths",
					t.policyPaths()+"add its path to repositories[].policies")
			}
		case *api.Application:
			if seen && !d.patch && !reaches(inputs, d.File) {
				t.field(d).warns("the application "+o.Metadata.Namespace+"/"+o.Metadata.Name+" counts for nothing: none of the config's roots reaches it",
					"bring it into what a root renders, or add a root to repositories[].roots")
			}
		case *api.Hold:
			if _, ok := api.HoldApplication(d.File); !ok {
				t.field(d).errs("the hold "+o.Metadata.Name+" counts for nothing where it lies", "move it to "+api.HoldFile(o.Spec.Application))
			}
		}
	}
}

// seen says whether all is known that paths depend on: a kustomization that
// failed may not have come to all of it.
func (t *lintTree) seen() bool {
	for dir, r := range t.state.paths {
		if r.err == nil {
			continue
		}
		for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
			if t.isFile(path.Join(dir, name)) {
				return false
			}
		}
	}
	return true
}

// policyPaths says where policies count.
func (t *lintTree) policyPaths() string {
	var all []string
	for _, p := range t.Repository.Policies {
		all = append(all, p.Path)
	}
	if len(all) == 0 {
		return ""
	}
	return "move it below " + strings.Join(all, " or ") + ", or "
}

// inputs are all that some render depends on: files, and directories for what
// is below them.
func (t *lintTree) inputs() map[string]bool {
	all := map[string]bool{}
	for _, r := range t.state.paths {
		for _, i := range r.result.Inputs {
			all[i] = true
		}
	}
	return all
}

func reaches(inputs map[string]bool, file string) bool {
	for at := file; !inputs[at]; at = path.Dir(at) {
		if at == "." {
			return false
		}
	}
	return true
}

// sorted are the tree's applications by name.
func (t *lintTree) sorted() []*Application {
	return slices.SortedFunc(maps.Values(t.state.Applications), byName)
}

// checkApplications tells which applications are blocked, and why.
func (t *lintTree) checkApplications() {
	const do = "mend it: until then nothing is deployed to it"
	for _, p := range t.state.Problems {
		t.faults(p, t.inConfig("roots"), func(p place, what, help string) {
			p.errs(what, cmp.Or(help, "mend it: until then the applications below aren't known"))
		})
	}
	for _, app := range t.sorted() {
		if again, ok := errors.AsType[*twice](app.Blocked); ok {
			for _, where := range []string{again.first, again.second} {
				t.at(where).errs(fmt.Sprintf("%s is blocked: %v", app.Name, again), "keep one of the two")
			}
			continue
		}
		if other, ok := errors.AsType[*elsewhere](app.Blocked); ok {
			if rule := t.claimed(app); rule != nil {
				do := "add its source's repository and branch to the config's repositories"
				if other.known {
					do = "name it there"
				}
				t.at(app.where).warns(fmt.Sprintf("%s is blocked, though %s speaks for it: %v", app.Name, rule.Name, other), do+", or take it out of the rule")
			}
			continue
		}
		if app.Blocked == nil {
			continue
		}
		if unreachable(app.Blocked) {
			t.at(app.where).warns(fmt.Sprintf("%s can't be checked: %v", app.Name, app.Blocked), "look again where the chart or base can be fetched")
			continue
		}
		t.faults(app.Blocked, t.at(app.where), func(p place, what, help string) {
			p.errs(fmt.Sprintf("%s is blocked: %s", app.Name, what), cmp.Or(help, do))
		})
	}
}

// unreachable says that a chart or a base may be there, for others or later.
func unreachable(err error) bool {
	return slices.ContainsFunc([]error{charts.ErrAway, charts.ErrUnauthorized, bases.ErrAway, bases.ErrUnauthorized}, func(may error) bool { return errors.Is(err, may) })
}

// claimed is the first rule that would speak for an application of which no
// image is known.
func (t *lintTree) claimed(app *Application) *Rule {
	for _, r := range t.state.own {
		if r.broken == nil && r.Mode != api.Never && r.allowed.Match(app.Name.String()) && r.applications.Match(app.Name.String()) {
			return r
		}
	}
	return nil
}

// checkPaths tells of applications whose paths overlap: an edit for one is one
// for the other.
func (t *lintTree) checkPaths() {
	byPath := map[string][]*Application{}
	for _, app := range t.sorted() {
		if _, other := errors.AsType[*elsewhere](app.Blocked); !other && t.state.paths[app.Path] != nil {
			byPath[app.Path] = append(byPath[app.Path], app)
		}
	}
	for dir, apps := range byPath {
		if len(apps) > 1 {
			t.at(apps[1].where).warns(fmt.Sprintf("%s have the same path %s: whatever is deployed to one is to all", someOf(apps), dir), "give each an overlay of its own")
		}
		for outer := path.Dir(dir); dir != "."; outer = path.Dir(outer) {
			if over := byPath[outer]; len(over) > 0 && t.holdsPlain(outer, dir) {
				t.at(apps[0].where).warns(fmt.Sprintf("the path %s of %s is a part of %s's, %s: both apply what is there", dir, apps[0].Name, over[0].Name, outer),
					"move one of them out of the other, or name it in "+path.Join(outer, ".slipwayignore"))
			}
			if outer == "." {
				break
			}
		}
	}
}

// holdsPlain says whether a path that is rendered as plain files takes those of
// one below it.
func (t *lintTree) holdsPlain(outer, inner string) bool {
	if t.state.paths[outer].result.Kind != render.Plain {
		return false
	}
	files, err := render.Files(t.FS, outer)
	return err == nil && slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, inner+"/") })
}

// someOf names applications, at most a few.
func someOf(apps []*Application) string {
	const most = 4
	var names []string
	for _, a := range apps {
		names = append(names, a.Name.String())
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// checkHolds tells of holds that hold nothing.
func (t *lintTree) checkHolds() {
	for _, name := range slices.Sorted(maps.Keys(t.state.holds)) {
		held := t.state.holds[name]
		at := place{t, api.HoldFile(name), 1}
		if held.broken != nil && !errors.Is(held.broken, api.ErrDocument) {
			t.faults(held.broken, at, func(p place, what, _ string) { p.errs(name+" is blocked: "+what, mends["Hold"]) })
		}
		app, err := events.ParseApplication(name)
		if t.known[app] == nil && (err != nil || t.whole) {
			at.warns("there is no application "+name, "remove the file, or write the name as cluster/namespace/name has it")
		}
	}
}
