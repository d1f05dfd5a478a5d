package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Pulls opens a pull request for each application, or for all applications of a
// rule, whose rule asks for one, brings it up to date, and closes it when it is
// no longer wanted. What is open is in a bucket.
type Pulls struct {
	*bus.Kept[pull]
	// Host gives the host of a repository's pull requests, by its key.
	Host func(key string) (pullrequest.Host, error)

	mu sync.Mutex
	// refused is how often in a row a host would not do something, by what was
	// asked of it.
	refused map[string]int
}

// OpenPulls opens the bucket. [Pulls.Run] must run beside it.
func OpenPulls(ctx context.Context, b *bus.Bus, host func(key string) (pullrequest.Host, error)) (*Pulls, error) {
	kept, err := bus.Keep[pull](ctx, b, "slipway-pulls", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open pull requests: %w", err)
	}
	return &Pulls{Kept: kept, Host: host, refused: map[string]int{}}, nil
}

// pause is how long to wait after the host would not do something once more.
func (p *Pulls) pause(what string) time.Duration {
	const shortest, doublings, longest = 5 * time.Second, 6, 5 * time.Minute
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := min(shortest<<p.refused[what], longest)
	p.refused[what] = min(p.refused[what]+1, doublings)
	return pause
}

// took says that the host did what it was asked for.
func (p *Pulls) took(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.refused, what)
}

// pull is an open pull request.
type pull struct {
	Repo   string `json:"repo"` // the repository's key
	Branch string `json:"branch"`
	// Changes are what it makes, by application and image.
	Changes []Change `json:"changes"`
	// Trees are the ids of the applications' folders of which it was made, by their
	// paths; nil where it is to be made anew.
	Trees map[string]string `json:"trees"`
	// Commit is what we pushed to the branch last.
	Commit string `json:"commit"`
	// Making says that the branch and the request may not be there yet as they are told here.
	Making bool `json:"making,omitempty"`
	// Landed is since when the head has all of the changes while the host says
	// that it is open.
	Landed time.Time `json:"landed,omitzero"`
	// Ended is when it came to its end; then there is nothing but this.
	Ended time.Time `json:"ended,omitzero"`
}

// branchRest is how long after a branch was deleted no request is opened for it anew. Gitea
// deals with a deletion when it comes to it, and closes what is open by then.
const branchRest = 5 * time.Second

// open are the pull requests of a repository.
func (p *Pulls) open(repo string) map[string]bus.Version[pull] {
	all := p.All()
	maps.DeleteFunc(all, func(_ string, v bus.Version[pull]) bool { return v.Value.Repo != repo || !v.Value.Ended.IsZero() })
	return all
}

// strand has the open pull requests of a repository made anew, and those by which something
// is taken back: its branch was pushed by force, and to merge what was made of a commit that
// is gone would bring that back.
func (d *Deployer) strand(ctx context.Context, r *Repository) error {
	if d.Pulls == nil {
		return nil
	}
	if err := d.strandWaiting(ctx, r); err != nil {
		return err
	}
	for key, v := range d.Pulls.open(r.Key) {
		p := v.Value
		for _, c := range p.Changes { // a replica that goes on after a crash knows of no force
			if err := d.Due.At(ctx, r.Key, pair{c.Application, c.Image}.item(), d.now()); err != nil {
				return err
			}
			r.reconsider(c.Application)
		}
		p.Trees = nil
		if _, err := d.Pulls.Write(ctx, key, p, v.Revision); err != nil {
			return fmt.Errorf("record the pull request of %s: %w", key, err)
		}
	}
	return nil
}

// has says whether it moves an image of the application.
func (p pull) has(app events.Application) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Application == app })
}

// wants says whether it moves the same images to the same references.
func (p pull) wants(changes []Change) bool {
	return slices.EqualFunc(p.Changes, changes, func(a, b Change) bool {
		return a.Application == b.Application && a.Image == b.Image && a.To == b.To
	})
}

// group are the decisions of a pass that are one pull request's matter.
type group struct {
	repo, key, branch string
	decisions         []Decision
}

// groupOf is the pull request of a repository that a decision wants to be in. A
// rule's name may stand in several repositories.
func groupOf(repo string, d Decision) (key, branch string) {
	if d.rule.PullRequests == api.PullBatch {
		return "rule " + repo + " " + d.rule.Name, pullrequest.BatchBranch(d.rule.Name)
	}
	return d.Application.Name.String(), pullrequest.Branch(d.Application.Name)
}

// groups sorts decisions by the pull requests that they want or are in. One of which all
// applications are gone is a group without decisions.
func (p *Pulls) groups(repo string, s *State, decisions []Decision) []group {
	all := map[string]group{}
	add := func(key, branch string, d Decision) {
		g, there := all[key]
		if !there {
			g = group{repo: repo, key: key, branch: branch}
		}
		g.decisions = append(g.decisions, d)
		all[key] = g
	}
	open := p.open(repo)
	for _, d := range decisions {
		wanted := ""
		if d.Pull {
			key, branch := groupOf(repo, d)
			wanted = key
			add(key, branch, d)
		}
		for key, v := range open {
			if key != wanted && v.Value.has(d.Application.Name) {
				add(key, v.Value.Branch, d)
			}
		}
	}
	for key, v := range open {
		there := func(c Change) bool { return s.Applications[c.Application] != nil }
		if _, wanted := all[key]; !wanted && !slices.ContainsFunc(v.Value.Changes, there) {
			all[key] = group{repo: repo, key: key, branch: v.Value.Branch}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b group) int { return strings.Compare(a.key, b.key) })
}

// pull brings the pull requests of the decided applications up to date. What a
// host refuses is told as blocked and tried again later: it holds up nobody.
func (d *Deployer) pull(ctx context.Context, r *Repository, s *State, decisions []Decision) error {
	if d.Pulls == nil {
		return nil
	}
	for _, g := range d.Pulls.groups(r.Key, s, decisions) {
		err := d.pullFor(ctx, r, s, g)
		if err == nil {
			d.Pulls.took(g.key)
			continue
		}
		again := d.hostFault(ctx, g.key, err)
		if again == nil {
			return err
		}
		d.Log.WarnContext(ctx, "no pull request", "of", g.key, "error", err.Error())
		if err := d.notPulled(ctx, r, g.decisions, err, *again); err != nil {
			return err
		}
	}
	return nil
}

var (
	errNoHost = errors.New("no pull request can be made")
	errUnmade = errors.New("the pull request can't be made")
)

// hostFault says when to try again what the host's API would not do, or what
// can't be edited; nil for any other error.
func (d *Deployer) hostFault(ctx context.Context, what string, err error) *time.Time {
	status, answered := errors.AsType[*pullrequest.StatusError](err)
	if ctx.Err() != nil || !answered && !errors.Is(err, errNoHost) && !errors.Is(err, errUnmade) {
		return nil
	}
	again := d.now().Add(d.Pulls.pause(what))
	if answered && !status.RetryAt.IsZero() {
		again = status.RetryAt
	}
	return &again
}

// notPulled tells why, and has the pairs decided on again.
func (d *Deployer) notPulled(ctx context.Context, r *Repository, decisions []Decision, why error, again time.Time) error {
	if err := d.later(ctx, r, decisions, again); err != nil {
		return err
	}
	for _, decision := range decisions {
		if !decision.Pull {
			continue
		}
		of := map[events.ImageRepository][]string{decision.Image: {decision.Target.Tag}}
		if err := d.tell(ctx, []Decision{decision.blocked(why)}, of); err != nil {
			return err
		}
	}
	return nil
}

// later has the pairs of decisions decided on again at that time, unless they
// are anyway before it.
func (d *Deployer) later(ctx context.Context, r *Repository, decisions []Decision, at time.Time) error {
	for _, decision := range decisions {
		if !decision.Again.IsZero() && decision.Again.Before(at) {
			continue
		}
		if err := d.Due.At(ctx, r.Key, pair{decision.Application.Name, decision.Image}.item(), at); err != nil {
			return err
		}
	}
	return nil
}

// pullFor makes one pull request what the decisions say.
func (d *Deployer) pullFor(ctx context.Context, r *Repository, s *State, g group) error {
	open, there, err := d.Pulls.Read(ctx, g.key)
	if err != nil {
		return fmt.Errorf("read the pull request of %s: %w", g.key, err)
	}
	there = there && open.Value.Ended.IsZero()
	changes := s.pulled(open.Value.Changes, g)
	if len(changes) == 0 && !there {
		return nil
	}
	if again := open.Value.Ended.Add(branchRest); !there && d.now().Before(again) {
		return d.later(ctx, r, g.decisions, again)
	}
	host, err := d.Pulls.Host(r.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHost, err)
	}
	if there {
		if goesOn, err := d.look(ctx, r, s, host, g, &open, changes); err != nil || !goesOn {
			return err
		}
	}
	if len(changes) == 0 {
		return d.forgetPull(ctx, r, g.key, open)
	}
	return d.makePull(ctx, r, s, host, g, changes, open)
}

// look says whether an open pull request is to be made what the changes are, or has come to
// its end where there are none.
func (d *Deployer) look(ctx context.Context, r *Repository, s *State, host pullrequest.Host, g group, open *bus.Version[pull], changes []Change) (goesOn bool, err error) {
	p := open.Value
	if len(changes) == 0 || s.landed(p) {
		return d.unpull(ctx, r, s, host, g, open)
	}
	wants := p.wants(changes)
	if wants && !p.Making {
		if fresh, err := r.fresh(s, p); err != nil || fresh {
			return false, err
		}
	}
	pr, found, err := host.Find(ctx, r.Branch, p.Branch)
	switch {
	case err != nil || !found:
		return true, err
	case pr.State == pullrequest.Merged: // and what it brought was changed again
		return true, d.merged(ctx, r, s, pr, &open.Value)
	default:
		return pr.State == pullrequest.Open || !wants || p.Making, nil // else a person said no to it
	}
}

// makePull opens a pull request, or brings the open one up to date. That it is there is
// known before anybody else can know of it.
func (d *Deployer) makePull(ctx context.Context, r *Repository, s *State, host pullrequest.Host, g group, changes []Change, open bus.Version[pull]) error {
	files, err := s.moved(ctx, changes, r.loader.aliases)
	if err != nil || len(files) == 0 {
		return err
	}
	trees, err := s.trees(changes)
	if err != nil {
		return err
	}
	p := pull{Repo: r.Key, Branch: g.branch, Changes: changes, Trees: trees, Commit: open.Value.Commit, Making: true}
	if !open.Value.Making || !open.Value.wants(changes) {
		if open, err = d.Pulls.Write(ctx, g.key, p, open.Revision); err != nil {
			return fmt.Errorf("record the pull request of %s: %w", g.key, err)
		}
	}
	what := draft{branch: g.branch, message: d.message(ctx, r, changes), files: files, changes: changes, over: p.Commit}
	if _, p.Commit, err = d.propose(ctx, r, s, host, what); err != nil {
		return err
	}
	p.Making = false
	if _, err := d.Pulls.Write(ctx, g.key, p, open.Revision); err != nil {
		return fmt.Errorf("record the pull request of %s: %w", g.key, err)
	}
	return nil
}

// pulled are the changes of a pull request after the decisions of a group: what
// was decided anew is as it was decided, and what the head has by now is done.
func (s *State) pulled(open []Change, g group) []Change {
	var all []Change
	for _, c := range open {
		app := s.Applications[c.Application]
		decided := slices.ContainsFunc(g.decisions, func(d Decision) bool { return d.Application.Name == c.Application && d.Image == c.Image })
		if !decided && app != nil && app.Blocked == nil && uses(app, c.Image) && current(app, c.Image).Reference() != c.To {
			all = append(all, c)
		}
	}
	for _, d := range g.decisions {
		if !d.Pull {
			continue
		}
		if key, _ := groupOf(g.repo, d); key == g.key {
			all = append(all, d.asChange())
		}
	}
	slices.SortFunc(all, func(a, b Change) int {
		return strings.Compare(a.Application.String()+" "+a.Image.String(), b.Application.String()+" "+b.Image.String())
	})
	return all
}
