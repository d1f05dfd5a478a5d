package promote

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// lintPair is an image that an application uses, and the rule that decides.
type lintPair struct {
	app   *Application
	image events.ImageRepository
	rule  *Rule
}

func (p lintPair) name() string { return p.app.Name.String() + " " + p.image.String() }

// pairs are all that there is to decide in the tree.
func (t *lintTree) pairs() []lintPair {
	var all []lintPair
	for _, app := range t.sorted() {
		seen := map[events.ImageRepository]bool{}
		for _, i := range app.Images {
			if repo := i.Image.Repository; !seen[repo] {
				seen[repo] = true
				rule, _ := find(t.state.Rules, app.Name, repo)
				all = append(all, lintPair{app, repo, rule})
			}
		}
	}
	return all
}

// rule is the place of a rule's field.
func (t *lintTree) rule(r *Rule, fields ...string) place {
	p := t.at(r.Where)
	p.line = p.t.texts.line(p.file, p.line, slices.Concat([]string{"spec.rules" + r.Name[strings.LastIndexByte(r.Name, '['):]}, fields)...)
	return p
}

// checkRules tells of rules that don't do what they seem to.
func (t *lintTree) checkRules() {
	for _, r := range t.state.own {
		if r.Name == "" && !errors.Is(r.broken, api.ErrDocument) {
			t.inConfig("policies").errs(r.broken.Error(), "make it, or take it out of repositories[].policies: until then whoever it may speak for is blocked")
		}
	}
	pairs := t.pairs()
	t.checkReach(pairs)
	for _, p := range pairs {
		if p.rule == nil || p.rule.broken != nil {
			continue
		}
		if tag := current(p.app, p.image).Tag; policy.BuildID(p.rule.Track, tag) {
			t.rule(p.rule, "track").warns(fmt.Sprintf("the end of %s, which %s uses of %s, is taken for a commit's id: of equal versions the one created last is chosen", tag, p.app.Name, p.image),
				"give the track a match if it means something else")
		}
	}
	t.checkOthers(pairs)
	t.checkCircles(pairs)
}

// reach is what becomes of a rule in the tree.
type reach struct {
	rule      *Rule
	decides   bool
	before    *Rule        // another decided where it matches
	claims    *Application // without a say
	claimed   int
	apps, img bool // its patterns match something
	unknown   bool // it matches an application of which no image is known here
}

// apply looks which applications a rule matches.
func (r *reach) apply(rule *Rule, s *State) {
	for name, app := range s.Applications {
		if rule.applications.Match(name.String()) {
			r.apps = true
			r.unknown = r.unknown || app.Blocked != nil && len(app.Images) == 0
		}
	}
	for _, name := range s.away {
		r.unknown = r.unknown || rule.applications.Match(name.String())
	}
}

// checkReach tells of rules that never decide, and of those that claim what
// isn't theirs.
func (t *lintTree) checkReach(pairs []lintPair) {
	var order []string
	all := map[string]*reach{} // a file that two paths have is one
	for _, r := range t.state.own {
		if r.broken != nil {
			continue
		}
		key := r.Where + " " + r.Name
		if all[key] == nil {
			all[key] = &reach{rule: r}
			order = append(order, key)
		}
		all[key].look(r, pairs)
		all[key].apply(r, t.state)
	}
	for _, key := range order {
		r := all[key]
		at := t.rule(r.rule)
		if r.claims != nil {
			at.warns(fmt.Sprintf("rule %s claims %s%s, and the config gives its path no say over it", r.rule.Name, r.claims.Name, more(r.claimed-1)),
				"narrow its applications, or widen those of its path in repositories[].policies")
		}
		switch {
		case r.decides || r.claims != nil || r.unknown || t.partial():
		case r.before != nil:
			at.warns(fmt.Sprintf("rule %s never decides: %s comes before it wherever it matches", r.rule.Name, r.before.Name), "move it up, or remove it")
		case !r.apps && !t.whole && len(t.state.Applications) == 0: // what others have for it isn't known
		case !r.apps:
			at.warns(fmt.Sprintf("rule %s never decides: its applications match none of the roots'", r.rule.Name), "write them as cluster/namespace/name, or remove the rule")
		case !r.img:
			at.warns(fmt.Sprintf("rule %s never decides: its images match none that its applications use", r.rule.Name), "write them as host/path, without tag, or remove the rule")
		}
	}
}

func more(n int) string {
	if n < 1 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// look counts what a rule does to the pairs.
func (r *reach) look(rule *Rule, pairs []lintPair) {
	var last *Application
	for _, p := range pairs {
		if !rule.applications.Match(p.app.Name.String()) {
			continue
		}
		if !rule.images.Match(p.image.String()) {
			continue
		}
		r.img = true
		switch {
		case !rule.allowed.Match(p.app.Name.String()):
			if r.claims == nil {
				r.claims = p.app
			}
			if p.app != last {
				last = p.app
				r.claimed++
			}
		case p.rule == rule:
			r.decides = true
		case r.before == nil:
			r.before = p.rule
		}
	}
}

// lintOther is an application on which a pair's decision waits.
type lintOther struct {
	field string
	of    func(events.Application) (events.Application, error)
}

func (p lintPair) others() []lintOther {
	var all []lintOther
	if p.rule == nil || p.rule.broken != nil {
		return all
	}
	if p.rule.After != nil {
		all = append(all, lintOther{"after", p.rule.After.Of})
	}
	if p.rule.Track.Follow != nil {
		all = append(all, lintOther{"track.follow", p.rule.Track.Follow.Of})
	}
	return all
}

// vain is that applications wait for others in vain, by one field of one rule.
type vain struct {
	at   place
	what string // with the first that waits
	more int
}

// checkOthers tells of applications that pairs wait for in vain, once for each
// rule and reason.
func (t *lintTree) checkOthers(pairs []lintPair) {
	const missing, away, unused, itself = "no such application", "elsewhere", "other images", "itself"
	dos := map[string]string{
		missing: "name one that is there, or take it out of the rule",
		away:    "give the work trees of all of the config's repositories",
		unused:  "name an application that uses the image, or narrow the rule's images",
		itself:  "name another one, or narrow the rule's applications",
	}
	found := map[string]*vain{}
	for _, p := range pairs {
		for _, o := range p.others() {
			other, err := o.of(p.app.Name)
			app := t.known[other]
			var why, what string
			switch {
			case err != nil:
				why, what = itself, fmt.Sprintf("%s is blocked: %v", p.app.Name, err)
			case app == nil && t.whole:
				why, what = missing, fmt.Sprintf("%s waits for %s, and there is no such application", p.app.Name, other)
			case app == nil:
				why, what = away, fmt.Sprintf("%s waits for %s, which is in none of the given work trees", p.app.Name, other)
			case app.Blocked == nil && !slices.ContainsFunc(app.Images, func(i manifest.Rendered) bool { return i.Image.Repository == p.image }):
				why, what = unused, fmt.Sprintf("%s waits for %s, which uses no %s", p.app.Name, other, p.image)
			default:
				continue
			}
			key := p.rule.Where + p.rule.Name + o.field + "\n" + why
			if v := found[key]; v != nil {
				v.more++
				continue
			}
			found[key] = &vain{at: t.rule(p.rule, o.field), what: what}
		}
	}
	for key, v := range found {
		_, why, _ := strings.Cut(key, "\n")
		severity := SeverityError
		if why == away {
			severity = SeverityWarning
		}
		v.at.tell(severity, v.what+more(v.more), dos[why])
	}
}

// checkCircles tells of applications that wait for each other.
func (t *lintTree) checkCircles(pairs []lintPair) {
	byName := map[string]lintPair{}
	for _, p := range pairs {
		byName[p.name()] = p
	}
	const (
		open = iota + 1
		done
	)
	state := map[string]int{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		way = append(way, name)
		p := byName[name]
		for _, o := range p.others() {
			other, err := o.of(p.app.Name)
			next := other.String() + " " + p.image.String()
			if _, there := byName[next]; err != nil || !there {
				continue
			}
			switch state[next] {
			case open:
				t.circle(byName, way[slices.Index(way, next):])
			case 0:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[name] = done
	}
	for _, p := range pairs {
		if state[p.name()] == 0 {
			visit(p.name())
		}
	}
}

// circle tells of one, from its first by name on.
func (t *lintTree) circle(pairs map[string]lintPair, way []string) {
	first := slices.Index(way, slices.Min(way))
	way = slices.Concat(way[first:], way[:first])
	p := pairs[way[0]]
	var names []string
	for _, w := range append(slices.Clone(way), way[0]) {
		names = append(names, pairs[w].app.Name.String())
	}
	field := "after"
	if p.rule.After == nil {
		field = "track.follow"
	}
	t.rule(p.rule, field).errs("they wait for each other: "+strings.Join(names, " -> "), "take one of them out: none would ever move")
}
