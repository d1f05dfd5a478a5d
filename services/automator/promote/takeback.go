package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Waiting are the rollbacks and holds that wait for a person to merge them,
// since the branch is protected or the policy wants it so. Their holds are in
// force from the request on, and an application whose rollback waits is
// suspended. They are in a bucket, by application.
type Waiting struct{ *bus.Kept[waiting] }

// OpenWaiting opens the bucket. [Waiting.Run] must run beside it.
func OpenWaiting(ctx context.Context, b *bus.Bus) (*Waiting, error) {
	kept, err := bus.Keep[waiting](ctx, b, "slipway-rollbacks", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open waiting rollbacks: %w", err)
	}
	return &Waiting{kept}, nil
}

// waiting is what was asked for an application, as a pull request.
type waiting struct {
	Repo     string    `json:"repo"` // the repository's key
	Branch   string    `json:"branch"`
	Requests []Request `json:"requests"`
	// Placed are the holds that come with them.
	Placed []Request `json:"placed"`
	At     time.Time `json:"at"`
	// Changes are what they move, and Trees the ids of what they touch, at the head of which
	// the pull request was made, by path.
	Changes []Change          `json:"changes,omitempty"`
	Trees   map[string]string `json:"trees,omitempty"`
	// Commit and URL are the branch's and the pull request's; empty until it
	// was made, and the URL where it has nothing to do any more.
	Commit string `json:"commit,omitempty"`
	URL    string `json:"url,omitempty"`
}

// suspends says why the application is suspended; empty when it isn't.
func (w *waiting) suspends() string {
	if w == nil || !slices.ContainsFunc(w.Requests, func(q Request) bool { return q.Kind == Rollback }) {
		return ""
	}
	if w.URL == "" {
		return "its rollback waits for its pull request"
	}
	return "its rollback waits to be merged: " + w.URL
}

// held adds the holds that wait to those of Git.
func (w *waiting) held(git heldVersions) heldVersions {
	if w == nil || len(w.Placed) == 0 {
		return git
	}
	git.list = slices.Clone(git.list)
	for _, q := range w.Placed {
		h := &api.Hold{}
		h.Spec.Application, h.Spec.Image, h.Spec.Digest, h.Spec.Tag = q.Application, q.Image, q.Digest, q.Tag
		h.Spec.Until, h.Spec.Reason, h.Spec.By = q.Until, q.Reason, q.By
		git.list = append(git.list, h)
	}
	return git
}

// waitsFor is what waits for an application; nil for nothing.
func (d *Deployer) waitsFor(app events.Application) *waiting {
	if d.Waiting == nil {
		return nil
	}
	if v, ok := d.Waiting.Of(app.String()); ok {
		return &v.Value
	}
	return nil
}

// byPull parts requests into those that are pushed and those whose rule wants a
// person to merge them.
func (s *State) byPull(requests []Request) (direct, pulled []Request) {
	for _, q := range requests {
		if q.Kind == Rollback && s.wantsPull(q) {
			pulled = append(pulled, q)
		} else {
			direct = append(direct, q)
		}
	}
	return direct, pulled
}

// wantsPull says whether any rule that speaks for what is taken back wants a
// pull request.
func (s *State) wantsPull(q Request) bool {
	name, err := events.ParseApplication(q.Application)
	app := s.Applications[name]
	if err != nil || app == nil {
		return false
	}
	for _, i := range app.Images {
		if q.Image != "" && i.Image.Repository.String() != q.Image {
			continue
		}
		if rule, _ := find(s.Rules, name, i.Image.Repository); rule != nil && rule.broken == nil && rule.Rollback == api.RollbackPullRequest {
			return true
		}
	}
	return false
}

// takeBack makes a pull request of what was asked for one application; refused
// is what the branch said to it, nil where it wasn't asked. What can't be made is
// told in the requests' chains, and tried again later.
func (d *Deployer) takeBack(ctx context.Context, r *Repository, s *State, requests []Request, refused error) error {
	what := merges + requests[0].Application
	err := d.askToMerge(ctx, r, s, requests, refused)
	if err == nil {
		d.Pulls.took(what)
		return nil
	}
	if refused != nil {
		err = fmt.Errorf("%w; %w", refused, err)
	}
	again := d.hostFault(ctx, what, err)
	if again == nil {
		return err
	}
	for _, q := range requests {
		item, itemErr := q.item()
		if itemErr != nil {
			return itemErr
		}
		if err := errors.Join(d.refuse(ctx, q, err), d.Due.At(ctx, r.Key, item, *again)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployer) askToMerge(ctx context.Context, r *Repository, s *State, requests []Request, refused error) error {
	name, err := events.ParseApplication(requests[0].Application)
	if err != nil {
		return d.refuse(ctx, requests[0], err)
	}
	before, _, err := d.Waiting.Read(ctx, name.String())
	if err != nil {
		return fmt.Errorf("read what waits for %s: %w", name, err)
	}
	for _, q := range slices.Backward(before.Value.Requests) { // what waits stays
		if !slices.ContainsFunc(requests, func(other Request) bool { return other.ID == q.ID }) {
			requests = append([]Request{q}, requests...)
		}
	}
	b := batch{files: map[string][]byte{}}
	said, requests, err := d.attemptAll(ctx, r, s, requests, &b)
	if err != nil || len(b.files) == 0 {
		return err
	}
	host, err := d.Pulls.Host(r.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHost, err)
	}
	w := waiting{
		Repo: r.Key, Branch: cmp.Or(before.Value.Branch, pullrequest.RollbackBranch(name, requests[0].ID)), Requests: requests, Placed: b.placed,
		Changes: b.changes, At: d.now().UTC(), Commit: before.Value.Commit,
	}
	if w.Trees, err = s.touchedBy(s.Applications[name]); err != nil {
		return err
	}
	// The holds are in force before anybody sees the pull request.
	stored, err := d.Waiting.Write(ctx, name.String(), w, before.Revision)
	if err != nil {
		return fmt.Errorf("record what waits for %s: %w", name, err)
	}
	pr, commit, err := d.propose(ctx, r, s, host, draft{
		branch: w.Branch, over: before.Value.Commit, message: askedMessage(said, b.changes, requests), files: b.files, changes: b.changes,
	})
	if err != nil {
		return err
	}
	w.Commit, w.URL = commit, pr.URL
	if _, err := d.Waiting.Write(ctx, name.String(), w, stored.Revision); err != nil {
		return fmt.Errorf("record what waits for %s: %w", name, err)
	}
	reason := "it waits to be merged: " + pr.URL
	if refused != nil {
		reason += " (" + refused.Error() + ")"
	}
	for _, q := range requests {
		if err := d.answer(ctx, q, events.Propose, reason); err != nil {
			return err
		}
	}
	d.Log.InfoContext(ctx, "what was asked for waits to be merged", "application", name.String(), "url", pr.URL)
	return d.Due.At(ctx, r.Key, mergeItem(name), d.now().Add(mergeLook))
}

// strandWaiting has what waits in a repository asked for once more, as it was.
func (d *Deployer) strandWaiting(ctx context.Context, r *Repository) error {
	if d.Waiting == nil {
		return nil
	}
	for _, v := range d.Waiting.All() {
		if v.Value.Repo != r.Key {
			continue
		}
		if err := d.askAgain(ctx, r, v.Value.Requests); err != nil {
			return err
		}
	}
	return nil
}

// askAgain has requests worked on once more.
func (d *Deployer) askAgain(ctx context.Context, r *Repository, requests []Request) error {
	for _, q := range requests {
		item, err := q.item()
		if err != nil {
			return err
		}
		if err := d.Due.At(ctx, r.Key, item, d.now()); err != nil {
			return err
		}
	}
	return nil
}

// mergeLook is how often it is looked whether a pull request was closed: of a
// merge the branch tells.
const mergeLook = time.Minute

// merges goes before an application in an item of work: look at what waits for
// it.
const merges = "merges "

func mergeItem(app events.Application) string { return merges + app.String() }

// settleWaiting ends what no longer waits: it was merged, or a person said no.
// The applications are to be decided on again.
func (d *Deployer) settleWaiting(ctx context.Context, r *Repository, s *State, look []events.Application) error {
	if d.Waiting == nil {
		return nil
	}
	all := d.Waiting.All()
	for _, name := range look {
		if _, waits := all[name.String()]; !waits {
			r.reconsider(name) // who ended it may have died before it was decided on
		}
	}
	for key, v := range all {
		name, err := events.ParseApplication(key)
		if err != nil || v.Value.Repo != r.Key {
			continue
		}
		end := pullrequest.State("")
		if s.has(name, v.Value) {
			end = pullrequest.Merged
		} else if slices.Contains(look, name) {
			if end, err = d.ended(ctx, r, name, v.Value); err != nil {
				return err
			}
		}
		if end == "" {
			err = d.followHead(ctx, r, s, name, v)
		} else {
			err = d.forgetWaiting(ctx, r, name, v.Value, end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// has says whether the head has what waits.
func (s *State) has(app events.Application, w waiting) bool {
	held := s.holds[app.String()]
	return held.broken == nil && len(w.Placed) > 0 && !slices.ContainsFunc(w.Placed, func(q Request) bool {
		return !slices.ContainsFunc(held.list, func(h *api.Hold) bool { return q.holds(h) })
	})
}

// ended asks the host what became of a pull request; empty while it is open.
// What the host won't tell is asked for later.
func (d *Deployer) ended(ctx context.Context, r *Repository, app events.Application, w waiting) (pullrequest.State, error) {
	if w.URL == "" || d.now().Before(w.At.Add(mergeLook/2)) {
		return "", nil // it is being made, perhaps again
	}
	again := d.now().Add(mergeLook)
	host, err := d.Pulls.Host(r.Key)
	if err == nil {
		var pr pullrequest.PR
		var found bool
		switch pr, found, err = host.Find(ctx, r.Branch, w.Branch); {
		case err == nil && !found:
			return pullrequest.Closed, nil // somebody has deleted it
		case err == nil && pr.State != pullrequest.Open:
			return pr.State, nil
		}
	}
	if err == nil {
		d.Pulls.took(mergeItem(app))
	} else if fault := d.hostFault(ctx, mergeItem(app), err); fault != nil {
		again = *fault
	} else {
		return "", err
	}
	return "", d.Due.At(ctx, r.Key, mergeItem(app), again)
}

func (d *Deployer) forgetWaiting(ctx context.Context, r *Repository, app events.Application, w waiting, end pullrequest.State) error {
	if err := r.mirror.DeleteBranch(ctx, w.Branch, w.Commit, d.Email); err != nil && !errors.Is(err, gitrepo.ErrForeign) {
		return err
	}
	if end == pullrequest.Closed {
		for _, q := range w.Requests {
			if err := d.answer(ctx, q, events.Skip, "its pull request was closed: "+w.URL); err != nil {
				return err
			}
		}
	}
	if err := d.Waiting.Delete(ctx, app.String()); err != nil {
		return fmt.Errorf("forget what waited for %s: %w", app, err)
	}
	r.reconsider(app)
	return nil
}
