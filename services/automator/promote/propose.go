package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// draft is a commit that people are to merge.
type draft struct {
	branch, message string
	over            string // the commit that we pushed there before, if any
	files           map[string][]byte
	changes         []Change
}

// propose pushes the branch, opens the pull request or updates it, and tells of
// it. It may be called again after a crash.
func (d *Deployer) propose(ctx context.Context, r *Repository, s *State, host pullrequest.Host, p draft) (pr pullrequest.PR, commit string, err error) {
	made, err := r.mirror.PushBranch(ctx, s.Head, p.branch, p.over, d.change(p.files, p.message))
	if errors.Is(err, gitrepo.ErrForeign) {
		err = fmt.Errorf("%w: %w: merge what is there, or delete the branch", errUnmade, err)
	}
	if err != nil {
		return pr, "", err
	}
	var described []pullrequest.Change
	for _, c := range p.changes {
		described = append(described, pullrequest.Change{Application: c.Application, Image: c.Image, From: c.From, To: c.To, Rule: c.Rule, Pusher: c.Pusher, Chain: c.Chain})
	}
	title, body, err := pullrequest.Describe(p.message, described, host.MaxBody())
	if err != nil {
		return pr, "", fmt.Errorf("%w: %w", errUnmade, err)
	}
	pr, err = host.Open(ctx, pullrequest.Request{Base: r.Branch, Head: p.branch, Title: title, Body: body, Labels: []string{"slipway"}})
	if err != nil {
		return pr, "", err
	}
	var all []events.Event
	for _, c := range p.changes {
		payload := events.ChangeCreated{
			Repository: r.Name, Branch: r.Branch, Head: p.branch, Number: pr.Number, URL: pr.URL,
			Application: c.Application.String(), Image: c.Image.String(), From: c.From, To: c.To,
		}
		e, err := events.New(events.Meta{ID: events.FollowID(c.Chain+" "+c.To, payload.Type(), payload.SubjectID()), Source: Source, ChainID: c.Chain, Time: d.now()}, payload)
		if err != nil {
			return pr, "", fmt.Errorf("tell of a pull request: %w", err)
		}
		all = append(all, e)
	}
	return pr, made.Hash(), publish(ctx, d.Bus, all)
}

const (
	// mergeTime is how long after the branch moved a host may still say that the
	// pull request by which it moved is open. Gitea tells of the push first.
	mergeTime = time.Minute
	// mergePause is how long to wait before it is asked again.
	mergePause = 2 * time.Second
)

// landed says whether the head has all that a pull request changes: it was
// merged, or the same came another way.
func (s *State) landed(p pull) bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool {
		app := s.Applications[c.Application]
		return app == nil || !uses(app, c.Image) || current(app, c.Image).Reference() != c.To
	})
}

// unpull ends a pull request that is no longer wanted: it was merged, or the
// policies want something else. It gives false where it is to be looked at
// again, since the host seems to be merging it.
func (d *Deployer) unpull(ctx context.Context, r *Repository, s *State, host pullrequest.Host, g group, open *bus.Version[pull]) (bool, error) {
	pr, found, err := host.Find(ctx, r.Branch, open.Value.Branch)
	if err != nil {
		return false, err
	}
	switch {
	case found && pr.State == pullrequest.Open:
		why := "Its application is gone."
		if len(g.decisions) > 0 {
			why = "It is no longer what the policies want: " + g.decisions[0].Reason
		}
		if s.landed(open.Value) {
			if merging, err := d.merging(ctx, r, g, *open); err != nil || merging {
				return false, err
			}
			why = "Branch " + r.Branch + " has by now what this would change."
		}
		if err := host.Close(ctx, pr, why); err != nil {
			return false, err
		}
	case found && pr.State == pullrequest.Merged:
		return true, d.merged(ctx, r, s, pr, &open.Value)
	}
	return true, nil
}

// forgetPull keeps of a pull request that it has ended, and deletes its branch, unless
// people have pushed to it.
func (d *Deployer) forgetPull(ctx context.Context, r *Repository, key string, open bus.Version[pull]) error {
	p := open.Value
	if err := r.mirror.DeleteBranch(ctx, p.Branch, p.Commit, d.Email); err != nil && !errors.Is(err, gitrepo.ErrForeign) {
		return err
	}
	if _, err := d.Pulls.Write(ctx, key, pull{Repo: p.Repo, Branch: p.Branch, Ended: d.now().UTC()}, open.Revision); err != nil {
		return fmt.Errorf("forget the pull request of %s: %w", key, err)
	}
	return nil
}

// merging says whether an open pull request whose changes the head has is
// likely to be merged at this moment, and then has it looked at again. To close
// it now would be to take its merge away from the person.
func (d *Deployer) merging(ctx context.Context, r *Repository, g group, open bus.Version[pull]) (bool, error) {
	p := open.Value
	if p.Landed.IsZero() {
		p.Landed = d.now().UTC()
		if _, err := d.Pulls.Write(ctx, g.key, p, open.Revision); err != nil {
			return false, fmt.Errorf("record the pull request of %s: %w", g.key, err)
		}
	}
	if d.now().After(p.Landed.Add(mergeTime)) {
		return false, nil
	}
	return true, d.later(ctx, r, g.decisions, d.now().Add(mergePause))
}

// merged tells of changes that were merged without a word of ours: a host may
// make the message of a squash of the title alone. What people had pushed to the branch was
// merged, too, and is ours to overwrite.
func (d *Deployer) merged(ctx context.Context, r *Repository, s *State, pr pullrequest.PR, open *pull) error {
	untold := map[string]bool{}
	for _, c := range open.Changes {
		there := s.Applications[c.Application]
		if !open.Making && open.is(pr) || there != nil && current(there, c.Image).Reference() == c.To {
			untold[c.key()] = true
		}
	}
	commit := s.Head
	err := r.mirror.Back(ctx, s.Head, remembered, func(at *gitrepo.Commit) bool {
		for _, c := range ParseMessage(at.Message()) {
			delete(untold, c.key())
		}
		if at.Merges(open.Commit) || at.Merges(pr.Commit) {
			clear(untold) // the branch's own commit is there, and was told
		}
		if pr.Merge != "" && at.Hash() == pr.Merge {
			commit = at
		}
		return len(untold) > 0
	})
	if err != nil {
		return err
	}
	for _, c := range open.Changes {
		if !untold[c.key()] {
			continue
		}
		e, err := c.merged(r, commit)
		if err != nil {
			return err
		}
		if err := d.Bus.Publish(ctx, e); err != nil {
			return err
		}
	}
	open.Commit = cmp.Or(pr.Commit, open.Commit)
	return nil
}

// is says whether a host has what we pushed. Bitbucket cuts ids short.
func (p pull) is(pr pullrequest.PR) bool {
	return pr.Commit != "" && strings.HasPrefix(p.Commit, pr.Commit)
}

// key tells changes apart.
func (c Change) key() string {
	return strings.Join([]string{c.Chain, c.Application.String(), c.Image.String(), c.To}, " ")
}
