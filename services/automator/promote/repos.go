package promote

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/service"
)

// Repository is one config repo at its branch, as this replica knows it.
type Repository struct {
	Key    string // "<name>@<branch>"
	Name   events.GitRepository
	Branch string

	mirror *gitrepo.Mirror
	loader *loader
	retry  func(*State) // looks at it again when charts may have come; nil for never

	catching sync.Mutex // one at a time; guards the next two
	fault    error      // of the last time
	faulted  time.Time

	mu       sync.Mutex                  // one load at a time
	state    *State                      // by the repository's work
	caught   *State                      // by who only has to answer for it, since the last work
	behind   uint64                      // the revision in Heads that caught is not behind
	pending  map[events.Application]bool // touched, and not decided on yet
	before   *State                      // the last one on which all was decided
	told     string                      // the commit up to which all is told, by whichever replica
	based    string                      // the one on which all was decided last, by whichever replica
	revision uint64                      // of told and based
	by       string                      // the one by way of which pending was found
	since    []*gitrepo.Commit           // what came since all was decided last
	foretold *State                      // of whose rules the others know
	decided  string                      // the commit on which this replica decided last
}

// Repos are the config's repositories.
type Repos struct {
	// Waiting has what waits to be merged; nil where nothing can.
	Waiting *Waiting
	// Heads are what other replicas have read.
	Heads *Heads

	byKey   map[string]*Repository
	lending *lending
	queue   *bus.Queue // keys: repositories; items: images with a tag, or head
	log     *slog.Logger
}

// Key is how the work of a repository's branch is called.
func Key(name events.GitRepository, branch string) string { return string(name) + "@" + branch }

// NewRepos opens a mirror for each of the config's repositories.
func NewRepos(ctx context.Context, cfg service.Config, queue *bus.Queue, log *slog.Logger) (*Repos, error) {
	all := &Repos{byKey: map[string]*Repository{}, queue: queue, log: log}
	all.lending = newLending(func(from, to string) ([]byte, uint64, bool) {
		known, ok := all.Heads.Of(lentKey(from, to))
		return known.Value.Lends, known.Revision, ok
	})
	for i, c := range cfg.Repositories {
		name, err := c.Name(cfg.GitAliases())
		if err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
		o, err := gitconfig.Options(cfg, c)
		if err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
		r := &Repository{
			Key: Key(name, c.Branch), Name: name, Branch: c.Branch,
			loader: &loader{config: c, name: name, aliases: cfg.Aliases(), gits: cfg.GitAliases(), lending: all.lending},
		}
		o.Dir = filepath.Join(cfg.Data, "automator", events.EncodeKey(strings.ReplaceAll(r.Key, "/", "_")))
		r.mirror, err = gitrepo.Open(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
		all.byKey[r.Key] = r
		if err := all.lending.add(name, c); err != nil {
			return nil, fmt.Errorf("repositories[%d]: %w", i, err)
		}
	}
	return all, nil
}

// Wake has every repository decided on that uses the image and whose rules speak of it,
// whether this replica has read them or another. One that nobody has read yet counts too.
func (all *Repos) Wake(ctx context.Context, image events.Image) error {
	if err := all.Heads.CatchUp(ctx); err != nil {
		return err
	}
	for key, r := range all.byKey {
		if !all.uses(r, image.Repository) || !all.may(r, func(s Speak) bool { return s.of(image.Repository) }) {
			continue
		}
		if err := all.queue.Put(ctx, key, image.String()); err != nil {
			return err
		}
	}
	return nil
}

// dates says whether some rule needs to know when the image was made. A
// repository that nobody has read yet may have one.
func (all *Repos) dates(image events.Image) bool {
	for _, r := range all.byKey {
		if all.may(r, func(s Speak) bool { return s.dates(image) }) {
			return true
		}
	}
	return false
}

// WakeWaiting has every repository decided on whose rules may look at what an
// application runs.
func (all *Repos) WakeWaiting(ctx context.Context, application string) error {
	if err := all.Heads.CatchUp(ctx); err != nil {
		return err
	}
	for key, r := range all.byKey {
		if !all.may(r, func(s Speak) bool { return s.Broken || s.Waits }) {
			continue
		}
		if err := all.queue.Put(ctx, key, runs+application); err != nil {
			return err
		}
	}
	return nil
}

// WakePair has one application and image decided on again, in whichever
// repository it is.
func (all *Repos) WakePair(ctx context.Context, application, image string) error {
	app, err := events.ParseApplication(application)
	if err != nil {
		return err
	}
	repo, err := events.ParseImageRepository(image, nil)
	if err != nil {
		return err
	}
	for key, r := range all.byKey {
		if s, current := all.current(r); current && s.Applications[app] == nil {
			continue
		}
		if err := all.queue.Put(ctx, key, pair{app, repo}.item()); err != nil {
			return err
		}
	}
	return nil
}

// Ask puts a request into the work of the repository that has its application;
// it is durable when Ask returns. It errs with [ErrRequest] where none has.
func (all *Repos) Ask(ctx context.Context, q Request) error {
	if err := q.Validate(); err != nil {
		return err
	}
	r, _, _, err := all.application(ctx, q.Application)
	if err != nil {
		return err
	}
	item, err := q.item()
	if err != nil {
		return err
	}
	return all.queue.Put(ctx, r.Key, item)
}

// application finds an application as it was decided on last, by whichever
// replica. It errs with [ErrRequest] where there is none.
func (all *Repos) application(ctx context.Context, name string) (r *Repository, s *State, app *Application, err error) {
	key, err := events.ParseApplication(name)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	find := func() bool {
		for _, r = range all.byKey {
			var current bool
			if s, current = all.current(r); !current {
				continue
			}
			if app = s.Applications[key]; app != nil {
				return true
			}
		}
		return false
	}
	if find() {
		return r, s, app, nil
	}
	err = all.Catch(ctx)
	if find() {
		return r, s, app, nil
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("find application %s: %w", name, err)
	}
	return nil, nil, nil, fmt.Errorf("%w: there is no application %s", ErrRequest, name)
}

// WakeAll has every repository looked at, as after a start. It tries until
// ctx ends: the bus may be away at this moment.
func (all *Repos) WakeAll(ctx context.Context) error {
	for key := range all.byKey {
		put := func(ctx context.Context) error { return all.queue.Put(ctx, key, head) }
		if err := Persist(ctx, all.log.With("repository", key), "have a repository looked at", put); err != nil {
			return err
		}
	}
	return nil
}

// sweep has every repository looked at: most Git hosts tell of a push once, and nobody may
// have listened.
func (all *Repos) sweep(ctx context.Context) error {
	for key := range all.byKey {
		if err := all.queue.Put(ctx, key, sweep); err != nil {
			return err
		}
	}
	return nil
}

// Handle takes the event of a ref that moved: a person changed applications,
// policies or references. Our own pushes are known already, unless another replica has
// read another commit since: the branch went back.
func (all *Repos) Handle(ctx context.Context, e events.Event) error {
	p, ok := e.Payload.(events.RefUpdated)
	if !ok {
		return nil
	}
	for key, r := range all.byKey {
		if r.Name != p.Repository || p.Ref != "refs/heads/"+r.Branch {
			continue
		}
		if s := r.worked(); s != nil && s.Head.Hash() == p.After {
			if err := all.Heads.CatchUp(ctx); err != nil {
				return err
			}
			if last, _ := all.Heads.Of(key); last.Value.Commit == p.After {
				continue
			}
		}
		if err := all.queue.Put(ctx, key, strings.TrimSpace(head+" "+p.After)); err != nil {
			return err
		}
	}
	return nil
}

// State is what this replica read last, or nil.
func (r *Repository) State() *State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest()
}

func (r *Repository) newest() *State {
	if r.caught != nil {
		return r.caught
	}
	return r.state
}

// worked is what the repository's work read last.
func (r *Repository) worked() *State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Refresh fetches the head and reads what it says, by way of the commit on which all was
// decided last: what another replica has changed, and a person has changed back, is as this
// one has read it before, and is new all the same. told is the commit at which the branch is
// said to be; empty for none.
func (r *Repository) Refresh(ctx context.Context, told string) (*State, error) {
	c, err := r.mirror.FetchTold(ctx, told)
	if err != nil {
		return nil, err
	}
	s := r.worked()
	if s == nil || r.based == "" || r.based == s.Head.Hash() || r.based == c.Hash() || r.based == r.by {
		return r.advance(ctx, c)
	}
	r.by = r.based
	decided, err := r.mirror.Commit(r.by)
	if err == nil {
		s, err = r.advance(ctx, decided)
	}
	if err != nil { // it was taken off the branch, or is older than what the mirror has
		return r.move(ctx, nil, c)
	}
	r.mu.Lock()
	r.before = s
	r.mu.Unlock()
	return r.advance(ctx, c)
}

// touched are the applications that are new or changed and that nobody has
// decided on since; settled takes them off the list.
func (r *Repository) touched(s *State) []*Application {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Application
	for name := range r.pending {
		if app := s.Applications[name]; app != nil {
			all = append(all, app)
		}
	}
	return all
}

// reconsider has an application decided on as if it had changed.
func (r *Repository) reconsider(app events.Application) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[events.Application]bool{}
	}
	r.pending[app] = true
}

func (r *Repository) settled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending, r.before, r.by = nil, nil, ""
}

// advance reads what a commit says, over what is known of the last one.
func (r *Repository) advance(ctx context.Context, c *gitrepo.Commit) (*State, error) {
	s := r.worked()
	if r.loader.current(s, c.Hash(), time.Now()) {
		return s, nil
	}
	return r.move(ctx, s, c)
}

// move reads what a commit says, over what is known of an older one, or nil. The repository
// is the caller's work.
func (r *Repository) move(ctx context.Context, old *State, c *gitrepo.Commit) (*State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, touched, err := r.read(ctx, old, c)
	if err != nil {
		return nil, err
	}
	if r.before == nil {
		r.before = r.state
	}
	r.state, r.caught = s, nil
	if r.retry != nil {
		r.retry(s)
	}
	if r.pending == nil {
		r.pending = map[events.Application]bool{}
	}
	for _, app := range touched {
		r.pending[app.Name] = true
	}
	return s, nil
}

// read reads what a commit says, over what is known of an older one, or nil.
func (r *Repository) read(ctx context.Context, old *State, c *gitrepo.Commit) (s *State, touched []*Application, err error) {
	var changed []string
	if old != nil {
		if changed, err = r.mirror.ChangedPaths(ctx, old.Head.Hash(), c.Hash()); err != nil {
			old = nil // the mirror was made anew, and doesn't know it
		}
	}
	if s, touched, err = r.loader.load(ctx, old, c, changed); err != nil {
		return nil, nil, fmt.Errorf("read %s at %s: %w", r.Key, c.Hash(), err)
	}
	return s, touched, nil
}
