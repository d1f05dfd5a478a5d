package promote

import (
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// What an item of a repository's work says: an image with its tag that arrived,
// or one of these. A name has no blanks.
const (
	// head: look at the repository itself again. Behind it and a blank there may
	// be the commit to which its branch moved.
	head = "head"
	// again and runs go before an application and an image, to be decided on
	// again, and before an application of which news came.
	again = "again "
	runs  = "runs "
)

// pair is one application and image.
type pair struct {
	app   events.Application
	image events.ImageRepository
}

// item is the work of deciding on a pair again.
func (p pair) item() string { return again + p.app.String() + " " + p.image.String() }

// asked is what the items of work say.
type asked struct {
	// only is the commit of which alone it is said that the branch moved to it;
	// empty where there is more to do.
	only string
	// plain says that there is nothing but tags that arrived.
	plain bool
	// presumed says that it is decided on what the branch was, unseen.
	presumed bool
	// swept says that nobody told of anything.
	swept bool
	// arrived are the tags that arrived.
	arrived map[events.ImageRepository][]string
	// pairs are to be decided on again.
	pairs []pair
	// sources are applications that others wait for.
	sources []events.Application
	// requests are what people want done.
	requests []Request
	// merges are the applications of which it is to be looked whether what waits
	// for them was merged or closed.
	merges []events.Application
	// failures are of applications that did not become healthy.
	failures []failure
}

func readItems(items []string) asked {
	a := asked{arrived: map[events.ImageRepository][]string{}}
	if len(items) == 1 {
		a.swept = items[0] == sweep
		if commit, ok := strings.CutPrefix(items[0], head+" "); ok {
			a.only = commit
		}
	}
	plain := 0
	for _, item := range items {
		if rest, ok := strings.CutPrefix(item, again); ok {
			name, image, _ := strings.Cut(rest, " ")
			app, appErr := events.ParseApplication(name)
			repo, imageErr := events.ParseImageRepository(image, nil)
			if appErr == nil && imageErr == nil {
				a.pairs = append(a.pairs, pair{app, repo})
			}
			continue
		}
		if name, ok := strings.CutPrefix(item, runs); ok {
			if app, err := events.ParseApplication(name); err == nil {
				a.sources = append(a.sources, app)
			}
			continue
		}
		if name, ok := strings.CutPrefix(item, merges); ok {
			if app, err := events.ParseApplication(name); err == nil {
				a.merges = append(a.merges, app)
			}
			continue
		}
		if f, ok := readFailure(item); ok {
			a.failures = append(a.failures, f)
			continue
		}
		if q, ok := readRequest(item); ok {
			a.requests = append(a.requests, q)
			continue
		}
		if image, err := events.ParseImage(item, nil); err == nil && image.Tag != "" {
			a.arrived[image.Repository] = append(a.arrived[image.Repository], image.Tag)
			plain++
		}
	}
	a.plain = plain > 0 && plain == len(items)
	return a
}

// ItemKind is the image repository of an item that tells of an image that arrived:
// images of several repositories in a row come from one build, as a rule, and
// are one commit. Other items have no kind.
func ItemKind(item string) string {
	image, err := events.ParseImage(item, nil)
	if err != nil || image.Tag == "" {
		return ""
	}
	return image.Repository.String()
}

// waiting are the pairs whose rules look at what an application runs.
func (s *State) waiting(source events.Application) []pair {
	var rules []*Rule
	for _, r := range s.Rules {
		if r.broken == nil && (r.After != nil || r.Track.Follow != nil) {
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	var all []pair
	for _, app := range s.Applications {
		for _, i := range app.Images {
			if r, _ := find(s.Rules, app.Name, i.Image.Repository); r != nil && r.looksAt(app.Name, source) {
				all = append(all, pair{app.Name, i.Image.Repository})
			}
		}
	}
	return all
}

// looksAt says whether a rule's decision on an application depends on what
// another one runs.
func (r *Rule) looksAt(app, source events.Application) bool {
	if r.broken != nil {
		return false
	}
	if r.After != nil {
		if other, err := r.After.Of(app); err == nil && other == source {
			return true
		}
	}
	if r.Track.Follow != nil {
		if other, err := r.Track.Follow.Of(app); err == nil && other == source {
			return true
		}
	}
	return false
}
