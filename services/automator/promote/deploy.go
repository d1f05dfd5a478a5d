package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Source is the emitter of the automator's events.
const Source = "/automator"

// Deployer decides for the applications of a repository and commits what is
// decided, one repository at a time.
type Deployer struct {
	Repos *Repos
	Tags  *Tags
	Bus   *bus.Bus
	Log   *slog.Logger
	// Name and Email are the author of commits; Signer signs them, if any.
	Name, Email string
	Signer      gitrepo.Signer
	Wording     *Wording
	// Health knows what applications run, Approvals what people decided, and
	// Due has decisions taken again when their time comes.
	Health    *Health
	Approvals *approval.Store
	Due       *Due
	// Revisions knows of what images were built.
	Revisions *Revisions
	// Checker looks into images before they are deployed; nil for no look.
	Checker *Checker
	// Pulls makes pull requests; nil where none can be made.
	Pulls *Pulls
	// Waiting has what waits to be merged; nil where no pull request can be
	// made.
	Waiting *Waiting
	// NewImages is told of image repositories that came into use.
	NewImages func(ctx context.Context, repos []events.ImageRepository) error
	Announcer *Announcer
	Metrics   *Metrics
	// Now is the clock by which it is decided; nil for the machine's.
	Now func() time.Time
}

func (d *Deployer) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// maxTries is how often a batch is decided again at once because somebody
// else pushed; then the queue's back-off takes over.
const maxTries = 10

// Work deals with one repository: what arrived, and what changed in it.
func (d *Deployer) Work(ctx context.Context, w bus.Work) error {
	r, ok := d.Repos.byKey[w.Key]
	if !ok {
		return bus.Permanent(fmt.Errorf("repository %s is not in the config", w.Key))
	}
	asked := readItems(w.Items)
	if err := d.learn(ctx, r); err != nil {
		return err
	}
	if asked.only != "" && asked.only == r.decided && asked.only == r.based {
		return nil // the host tells of our own push
	}
	if presumed, err := d.presume(ctx, r, asked); presumed || err != nil {
		return err
	}
	for range maxTries {
		s, err := r.Refresh(ctx, asked.only)
		if err != nil {
			return err
		}
		if asked.swept && r.based != "" && r.based != s.Head.Hash() {
			d.Log.InfoContext(ctx, "the sweep found a push that no webhook told of", "repository", r.Key, "commit", s.Head.Hash())
		}
		if err := d.foretell(ctx, r, s); err != nil {
			return err
		}
		err = d.pass(ctx, r, s, asked)
		if !errors.Is(err, gitrepo.ErrMoved) {
			return err
		}
		d.Log.InfoContext(ctx, "the branch moved: deciding again", "repository", r.Key)
	}
	return fmt.Errorf("%s: %w %d times in a row", r.Key, gitrepo.ErrMoved, maxTries)
}

// pass deals with a repository as it is at one head.
func (d *Deployer) pass(ctx context.Context, r *Repository, s *State, asked asked) error {
	commits, forced, err := d.Announcer.CatchUp(ctx, r, s.Head)
	if err != nil {
		return err
	}
	r.since = commits
	ours := moves(commits)
	for moved := range ours {
		r.reconsider(moved.app) // a person may have changed it back
	}
	if err := d.passPulls(r); err != nil {
		return err
	}
	reverts, err := d.reverts(ctx, r, s, commits, ours)
	if err != nil {
		return err
	}
	rollbacks, err := d.rollbacks(ctx, r, s, asked.failures)
	if err != nil {
		return err
	}
	if s, err = d.serve(ctx, r, s, slices.Concat(reverts, rollbacks, asked.requests)); err != nil {
		return err
	}
	if forced { // what is pushed from here on is in line with this, for whoever goes on after a crash
		if err := d.strand(ctx, r); err != nil {
			return err
		}
		if err := d.Announcer.RecordTold(ctx, r, s.Head); err != nil {
			return err
		}
	}
	if err := d.settleWaiting(ctx, r, s, asked.merges); err != nil {
		return err
	}
	touched := r.touched(s)
	if len(touched) > 0 {
		d.logProblems(ctx, r, s)
		if err := d.NewImages(ctx, s.Repositories()); err != nil {
			return err
		}
	}
	if err := d.promote(ctx, r, s, asked, touched); err != nil {
		return err
	}
	r.settled()
	s = r.worked()
	if err := d.Announcer.Record(ctx, r, s.Head); err != nil {
		return err
	}
	if err := d.Repos.Heads.Record(ctx, r, s); err != nil {
		return err
	}
	r.decided = s.Head.Hash()
	return nil
}

// learn waits until all is known that was stored before the work was put, by whichever
// replica: the watches are not in step with the queue.
func (d *Deployer) learn(ctx context.Context, r *Repository) error {
	known := []func(context.Context) error{
		d.Tags.CatchUp, d.Health.CatchUp, d.Approvals.CatchUp, d.Repos.Heads.Ready,
		func(ctx context.Context) error { return d.Announcer.Learn(ctx, r) },
	}
	if d.Pulls != nil {
		known = append(known, d.Pulls.CatchUp)
	}
	if d.Waiting != nil {
		known = append(known, d.Waiting.CatchUp)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, know := range known {
		group.Go(func() error { return know(ctx) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("wait for what is known: %w", err)
	}
	return nil
}

func (d *Deployer) logProblems(ctx context.Context, r *Repository, s *State) {
	for _, p := range s.Problems {
		d.Log.WarnContext(ctx, "a part of the repository can't be read", "repository", r.Key, "commit", s.Head.Hash(), "error", p.Error())
	}
	for _, rule := range s.Rules {
		if rule.broken != nil {
			d.Log.WarnContext(ctx, "a policy can't be read", "repository", r.Key, "where", rule.Where, "error", rule.broken.Error())
		}
	}
}

// promote decides, commits what is to be deployed, and tells.
func (d *Deployer) promote(ctx context.Context, r *Repository, s *State, asked asked, touched []*Application) error {
	decisions := d.decide(ctx, r, s, asked, touched)
	if err := d.check(ctx, decisions); err != nil {
		return err
	}
	batch, err := d.edit(ctx, r, s, decisions)
	if err != nil {
		return err
	}
	if asked.presumed && !batch.has(decisions) {
		return errPresumed
	}
	if err := d.remember(ctx, r, decisions); err != nil {
		return err
	}
	told := make(chan error, 1)
	tell := func() { told <- d.tell(ctx, decisions, asked.arrived) }
	if !asked.presumed { // what was decided is told while the commit is on its way
		go tell()
	}
	err = d.commit(ctx, r, s, batch)
	if asked.presumed {
		if errors.Is(err, gitrepo.ErrMoved) {
			return err
		}
		tell()
	}
	if err := errors.Join(err, <-told); err != nil {
		return errors.Join(err, d.refused(ctx, decisions, err))
	}
	if err := d.pull(ctx, r, s, decisions); err != nil {
		return err
	}
	return d.conclude(ctx, decisions)
}

// commit pushes a batch and tells of it; an empty one is nothing to do.
func (d *Deployer) commit(ctx context.Context, r *Repository, s *State, batch batch) error {
	if len(batch.files) == 0 {
		return nil
	}
	began := time.Now()
	commit, err := r.mirror.Push(ctx, s.Head, d.change(batch.files, d.message(ctx, r, batch.changes)))
	d.trace(ctx, r, batch.changes, commit, began, err)
	d.Metrics.committed(err)
	if err != nil {
		return err
	}
	for _, c := range batch.changes {
		d.Metrics.led(stageCommitted, d.Tags.pushed(c.Image, c.Chain), time.Now())
	}
	d.Log.InfoContext(ctx, "committed", "repository", r.Key, "commit", commit.Hash(), "changes", len(batch.changes), "files", len(batch.files))
	if err := d.Announcer.Tell(ctx, r, commit); err != nil {
		return err
	}
	_, err = r.advance(ctx, commit)
	return err
}

// message words a commit. A release doesn't wait for somebody to mend a
// template that fails on it.
func (d *Deployer) message(ctx context.Context, r *Repository, changes []Change) string {
	message, err := d.Wording.Message(r.Name, r.Branch, changes)
	if err != nil {
		d.Log.WarnContext(ctx, "worded a commit message without the template", "setting", "automator.commit.message", "repository", r.Key, "error", err.Error())
		return Message(changes)
	}
	return message
}

// change is a commit of ours.
func (d *Deployer) change(files map[string][]byte, message string) gitrepo.Change {
	return gitrepo.Change{Files: files, Message: message, Name: d.Name, Email: d.Email, When: time.Now(), Signer: d.Signer}
}

// decide takes a decision for each application that uses an image that
// arrived, for each image of a touched application, and for what waited. A pair
// is decided on once.
func (d *Deployer) decide(ctx context.Context, r *Repository, s *State, asked asked, touched []*Application) []Decision {
	var all []Decision
	done := map[pair]bool{}
	now := d.now()
	revisions := asking{d.Revisions, map[string]error{}}
	take := func(app *Application, image events.ImageRepository) {
		if app == nil || done[pair{app.Name, image}] {
			return
		}
		done[pair{app.Name, image}] = true
		f := Facts{Tags: d.Tags.Of(image), Now: now, Runs: d.Health.Of, Aliases: r.loader.aliases, Waiting: d.waitsFor(app.Name)}
		if p, ok := d.Approvals.Of(app.Name.String(), image.String()); ok {
			f.Proposal = &p
		}
		if decision, ok := revisions.decide(ctx, s, app, image, f); ok {
			all = append(all, decision)
		}
	}
	// What one file says of several applications is decided together.
	takeAll := func(app *Application, image events.ImageRepository) {
		take(app, image)
		if app == nil {
			return
		}
		for _, other := range s.sharing(app, app.Path) {
			if uses(other, image) {
				take(other, image)
			}
		}
	}
	for image := range asked.arrived {
		for _, app := range s.Using(image) {
			take(app, image)
		}
	}
	for _, app := range touched {
		for _, i := range app.Images {
			takeAll(app, i.Image.Repository)
		}
	}
	for _, p := range asked.pairs {
		takeAll(s.Applications[p.app], p.image)
	}
	for _, source := range asked.sources {
		for _, p := range s.waiting(source) {
			takeAll(s.Applications[p.app], p.image)
		}
	}
	slices.SortFunc(all, func(a, b Decision) int {
		if c := byName(a.Application, b.Application); c != 0 {
			return c
		}
		return slices.Compare([]string{a.Image.String()}, []string{b.Image.String()})
	})
	return all
}
