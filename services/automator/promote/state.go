package promote

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/render"
	"github.com/slipway-cd/slipway/shared/service"
)

// Application is an application as the head of its repository shows it.
type Application struct {
	Name events.Application
	Path string
	// Images are the references in what is rendered.
	Images []manifest.Rendered
	// Blocked says why nothing can be decided for it; nil when it can.
	Blocked error
	// OnFailure is what follows when a version doesn't become healthy.
	OnFailure string
	// Suspended is why a person has suspended it; empty when nobody has.
	Suspended string

	request  render.Request // by which it is rendered, without files
	rendered *rendered      // what came of it; nil where it is not rendered
	where    string         // of its document: file:line
}

// State is what one commit of a config repo says: applications and rules. It
// doesn't change.
type State struct {
	Head         *gitrepo.Commit
	Applications map[events.Application]*Application
	Rules        []*Rule
	// Problems are faults that belong to no application.
	Problems []error

	own      []*Rule                   // without those of guests
	policies map[string][]byte         // what own was read from, where others may need it
	guests   []guest                   // that were there when it was read
	lends    map[string][]lentDocument // to other repositories, by their keys
	away     []events.Application      // that are in lends
	partial  bool                      // there may be more, where something can't be rendered
	files    fs.FS                     // of Head
	holds    holds
	byImage  map[events.ImageRepository][]*Application
	paths    map[string]*rendered
	inputs   []input // sorted
	// retry is when charts are asked for again that couldn't be had; zero: all
	// could.
	retry time.Time
}

// Using gives the applications that use an image repository, by name.
func (s *State) Using(image events.ImageRepository) []*Application { return s.byImage[image] }

// Repositories gives every image repository in use, sorted.
func (s *State) Repositories() []events.ImageRepository {
	var all []events.ImageRepository
	for r := range s.byImage {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b events.ImageRepository) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// loader builds states of one repository.
type loader struct {
	config  service.Repository
	name    events.GitRepository
	aliases events.Aliases // of registries
	gits    events.Aliases // of Git hosts
	charts  charts.Source  // that lie outside of the repository; nil for none
	bases   bases.Source   // that kustomizations name beyond it; nil for none
	lending *lending       // from and to other repositories; nil for none
}

// load builds the state of a commit. What the changed paths don't touch is
// taken from old, which may be nil; touched are the applications that are new
// or were rendered anew, all of them when policies changed.
func (l *loader) load(ctx context.Context, old *State, head *gitrepo.Commit, changed []string) (s *State, touched []*Application, err error) {
	s = &State{Head: head}
	touched, err = l.read(ctx, s, head.FS(), old, changed)
	if err != nil {
		return nil, nil, err
	}
	return s, touched, nil
}

// read fills a state from the files of its commit.
func (l *loader) read(ctx context.Context, s *State, files fs.FS, old *State, changed []string) (touched []*Application, err error) {
	s.files, s.Applications = files, map[events.Application]*Application{}
	s.paths, s.byImage = map[string]*rendered{}, map[events.ImageRepository][]*Application{}
	s.guests = l.lending.to(l.key())
	all := old == nil || l.policiesChanged(changed)
	if all {
		if err := l.loadOwn(s, files); err != nil {
			return nil, err
		}
	} else {
		s.own, s.policies = old.own, old.policies
	}
	all = all || ruledOtherwise(old.guests, s.guests)
	if s.holds, err = loadHolds(files); err != nil {
		return nil, err
	}
	heldAnew := changedHolds(changed)
	b := &builder{loader: l, s: s, old: old, changed: changed, fresh: map[string]bool{}, docs: map[events.Application]string{}}
	for _, root := range l.config.Roots {
		b.descend(ctx, root.Cluster, root.Path)
	}
	theirs := b.welcome(ctx, s.guests)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.Rules = slices.Concat(theirs, s.own)
	for _, app := range s.Applications {
		s.index(app)
		if all || app.rendered != nil && b.fresh[app.rendered.key] || heldAnew[app.Name.String()] || !app.same(old.Applications[app.Name]) {
			touched = append(touched, app)
		}
	}
	for _, apps := range s.byImage {
		slices.SortFunc(apps, byName)
	}
	s.retry = s.retryAt(time.Now())
	s.inputs = s.inputsOf()
	slices.SortFunc(touched, byName)
	return touched, nil
}

// loadOwn reads the repository's own rules.
func (l *loader) loadOwn(s *State, files fs.FS) (err error) {
	if !l.lending.several() {
		s.own, err = loadRules(files, l.config.Policies)
		return err
	}
	read := &noted{FS: files, files: map[string][]byte{}}
	s.own, err = loadRules(read, l.config.Policies)
	for _, p := range l.config.Policies { // one without a rule is not one that is missing
		if info, err := fs.Stat(files, p.Path); err == nil && info.IsDir() && p.Path != "." {
			read.files[p.Path+"/"] = nil
		}
	}
	s.policies = read.files
	return err
}

// ruledOtherwise says whether the rules of guests may be others.
func ruledOtherwise(before, now []guest) bool {
	return !slices.EqualFunc(before, now, func(a, b guest) bool { return a.from == b.from && a.ruled == b.ruled })
}

// same says whether an application's document says what it did.
func (a *Application) same(old *Application) bool {
	return old != nil && old.Path == a.Path && old.Suspended == a.Suspended && old.OnFailure == a.OnFailure && (old.Blocked == nil) == (a.Blocked == nil)
}

func (s *State) index(app *Application) {
	seen := map[events.ImageRepository]bool{}
	for _, i := range app.Images {
		if !seen[i.Image.Repository] {
			seen[i.Image.Repository] = true
			s.byImage[i.Image.Repository] = append(s.byImage[i.Image.Repository], app)
		}
	}
}

func byName(a, b *Application) int { return strings.Compare(a.Name.String(), b.Name.String()) }

func (l *loader) policiesChanged(changed []string) bool {
	for _, p := range l.config.Policies {
		for _, c := range changed {
			if p.Path == "." || c == p.Path || strings.HasPrefix(c, p.Path+"/") {
				return true
			}
		}
	}
	return false
}
