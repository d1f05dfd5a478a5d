package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Pulls opens a pull request for each application whose rule asks for one,
// brings it up to date, and closes it when it is no longer wanted. What is open
// is in a bucket.
type Pulls struct {
	bucket *bus.Bucket
	// Host gives the host of a repository's pull requests, by its key.
	Host func(key string) (pullrequest.Host, error)
}

// OpenPulls opens the bucket.
func OpenPulls(ctx context.Context, b *bus.Bus, host func(key string) (pullrequest.Host, error)) (*Pulls, error) {
	bucket, err := b.Bucket(ctx, "slipway-pulls", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open pull requests: %w", err)
	}
	return &Pulls{bucket, host}, nil
}

// pull is what is open for an application.
type pull struct {
	Branch string `json:"branch"`
	// To are the references that it moves to, by image repository, Tree the
	// application's folder of which it was made.
	To   map[string]string `json:"to"`
	Tree string            `json:"tree"`
	// Commit is what we pushed to the branch.
	Commit string `json:"commit"`
}

func (p *Pulls) of(ctx context.Context, app events.Application) (open pull, there bool, err error) {
	e, err := p.bucket.Get(ctx, app.String())
	if errors.Is(err, bus.ErrNotFound) {
		return open, false, nil
	}
	if err != nil {
		return open, false, fmt.Errorf("read the pull request of %s: %w", app, err)
	}
	return open, json.Unmarshal(e.Value, &open) == nil, nil // what can't be read is opened again
}

// asksPulls says whether any rule asks for pull requests.
func (s *State) asksPulls() bool {
	for _, r := range s.Rules {
		if r.Mode == api.PullRequest {
			return true
		}
	}
	return false
}

// pull brings the pull requests of the decided applications up to date. What a
// host refuses is told as blocked and tried again later: it holds up nobody.
func (d *Deployer) pull(ctx context.Context, r *Repository, s *State, decisions []Decision) error {
	if d.Pulls == nil || !s.asksPulls() {
		return nil
	}
	for i := 0; i < len(decisions); {
		end := i + 1
		for end < len(decisions) && decisions[end].Application == decisions[i].Application {
			end++
		}
		if err := d.pullFor(ctx, r, s, decisions[i:end]); err != nil {
			if again := d.hostFault(ctx, err); again == nil {
				return err
			} else if err := d.notPulled(ctx, r, decisions[i:end], err, *again); err != nil {
				return err
			}
		}
		i = end
	}
	return nil
}

// hostFault says when to try again what the host's API would not do; nil for
// any other error.
func (d *Deployer) hostFault(ctx context.Context, err error) *time.Time {
	status, answered := errors.AsType[*pullrequest.StatusError](err)
	configured := errors.Is(err, errNoHost)
	if ctx.Err() != nil || !answered && !configured {
		return nil
	}
	again := d.now().Add(5 * time.Minute)
	if answered && !status.RetryAt.IsZero() {
		again = status.RetryAt
	}
	return &again
}

var errNoHost = errors.New("no pull request can be made")

// notPulled tells why, and has the pairs decided on again.
func (d *Deployer) notPulled(ctx context.Context, r *Repository, decisions []Decision, why error, again time.Time) error {
	d.Log.WarnContext(ctx, "no pull request", "application", decisions[0].Application.Name.String(), "error", why.Error())
	for _, decision := range decisions {
		if !decision.Pull {
			continue
		}
		if err := d.Due.At(ctx, r.Key, pair{decision.Application.Name, decision.Image}.item(), again); err != nil {
			return err
		}
		of := map[events.ImageRepository][]string{decision.Image: {decision.Target.Tag}}
		if err := d.tell(ctx, []Decision{decision.blocked(why)}, of); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployer) pullFor(ctx context.Context, r *Repository, s *State, decisions []Decision) error {
	app := decisions[0].Application
	open, there, err := d.Pulls.of(ctx, app.Name)
	if err != nil {
		return err
	}
	want := map[string]string{}
	var changes []Change
	var targets []events.Image
	for _, decision := range decisions {
		if decision.Pull {
			want[decision.Image.String()] = decision.Target.Reference()
			targets = append(targets, decision.Target)
			changes = append(changes, decision.asChange())
		}
	}
	if len(want) == 0 && !there {
		return nil
	}
	host, err := d.Pulls.Host(r.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoHost, err)
	}
	if len(want) == 0 {
		return d.unpull(ctx, r, host, app, open, decisions[0].Reason)
	}
	tree, err := s.Head.TreeHash(app.Path)
	if err != nil {
		return err
	}
	if there && maps.Equal(open.To, want) {
		if open.Tree == tree {
			return nil
		}
		pr, found, err := host.Find(ctx, r.Branch, open.Branch)
		if err != nil {
			return err
		}
		if found && pr.State == pullrequest.Closed {
			return nil // a person said no to it
		}
	}
	files, err := manifest.Folder{FS: s.Head.FS(), Path: app.Path, Aliases: r.loader.aliases}.Promote(ctx, targets)
	if err != nil || len(files) == 0 {
		return err
	}
	return d.propose(ctx, r, s, host, pull{Branch: pullrequest.Branch(app.Name), To: want, Tree: tree}, app, files, changes)
}

// propose pushes the branch, opens the pull request, and tells of it.
func (d *Deployer) propose(ctx context.Context, r *Repository, s *State, host pullrequest.Host, p pull, app *Application, files map[string][]byte, changes []Change) error {
	message := d.message(ctx, r, changes)
	commit, err := r.mirror.PushBranch(ctx, s.Head, p.Branch, d.change(files, message))
	if err != nil {
		return err
	}
	p.Commit = commit.Hash()
	var described []pullrequest.Change
	for _, c := range changes {
		described = append(described, pullrequest.Change{Application: c.Application, Image: c.Image, From: c.From, To: c.To, Rule: c.Rule, Pusher: c.Pusher, Chain: c.Chain})
	}
	title, body, err := pullrequest.Describe(message, described, host.MaxBody())
	if err != nil {
		return err
	}
	pr, err := host.Open(ctx, pullrequest.Request{Base: r.Branch, Head: p.Branch, Title: title, Body: body, Labels: []string{"slipway"}})
	if err != nil {
		return err
	}
	var all []events.Event
	for _, c := range changes {
		payload := events.ChangeCreated{
			Repository: r.Name, Branch: r.Branch, Head: p.Branch, Number: pr.Number, URL: pr.URL,
			Application: app.Name.String(), Image: c.Image.String(), From: c.From, To: c.To,
		}
		e, err := events.New(events.Meta{ID: events.FollowID(c.Chain+" "+c.To, payload.Type(), payload.SubjectID()), Source: Source, ChainID: c.Chain, Time: d.now()}, payload)
		if err != nil {
			return fmt.Errorf("tell of a pull request: %w", err)
		}
		all = append(all, e)
	}
	if err := publish(ctx, d.Bus, all); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("record the pull request of %s: %w", app.Name, err)
	}
	if _, err := d.Pulls.bucket.Put(ctx, app.Name.String(), text); err != nil {
		return fmt.Errorf("record the pull request of %s: %w", app.Name, err)
	}
	return nil
}

// unpull closes what is no longer wanted: it was merged, or the policies want
// something else.
func (d *Deployer) unpull(ctx context.Context, r *Repository, host pullrequest.Host, app *Application, open pull, why string) error {
	pr, found, err := host.Find(ctx, r.Branch, open.Branch)
	if err != nil {
		return err
	}
	if found && pr.State == pullrequest.Open {
		if err := host.Close(ctx, pr, "It is no longer what the policies want: "+why); err != nil {
			return err
		}
	}
	// A branch to which a person has pushed stays.
	if err := r.mirror.DeleteBranch(ctx, open.Branch, open.Commit); err != nil && !errors.Is(err, gitrepo.ErrMoved) {
		return err
	}
	if err := d.Pulls.bucket.Delete(ctx, app.Name.String()); err != nil {
		return fmt.Errorf("forget the pull request of %s: %w", app.Name, err)
	}
	return nil
}
