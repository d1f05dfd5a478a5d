package promote

import (
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// bar is why a tag is no candidate now, whatever the track says of it.
type bar struct {
	outcome events.Outcome
	reason  string
	again   time.Time // when the clock alone may lift it
	// asks are the images whose revisions must be known before it is said
	// whether the tag is barred.
	asks []events.Image
}

// bars are the tags that a hold, or the application that must run them first,
// keeps out.
func bars(rule *Rule, app events.Application, image events.ImageRepository, held heldVersions, f Facts) map[string]bar {
	all := map[string]bar{}
	for _, k := range f.Tags {
		if k.Digest == "" {
			continue
		}
		i := events.Image{Repository: image, Tag: k.Tag, Digest: k.Digest}
		if hold, ok := held.of(i, f.Aliases, f.Now); ok {
			b := bar{outcome: events.Hold, reason: why(hold)}
			if hold.Spec.Until != nil {
				b.again = *hold.Spec.Until
			}
			all[k.Tag] = b
			continue
		}
		if b, waits := rule.waits(app, i, f); waits {
			all[k.Tag] = b
		}
	}
	return all
}

// waits says whether an image has to run elsewhere first.
func (r *Rule) waits(app events.Application, image events.Image, f Facts) (bar, bool) {
	if r.After == nil {
		return bar{}, false
	}
	other, err := r.After.Of(app)
	if err != nil {
		return bar{outcome: events.Blocked, reason: "can't be waited for: " + err.Error()}, true
	}
	lasts := time.Duration(0)
	if r.After.HealthyFor != nil {
		lasts = time.Duration(*r.After.HealthyFor)
	}
	var running Running
	known := false
	if f.Runs != nil {
		running, known = f.Runs(other)
	}
	c := f.comparison(image.Repository, r.After.Same)
	same := known && c.same(running.Images, image)
	if same && running.healthyFor(lasts, f.Now) || running.proved(image, lasts, c) {
		return bar{}, false
	}
	b := bar{outcome: events.Waiting, asks: c.asks}
	now, there := running.image(image.Repository, f.Aliases)
	switch {
	case len(c.asks) > 0:
		b.reason = fmt.Sprintf("waits for the registry, which is asked of what revision %s is", c.asks[0])
	case !known:
		b.reason = fmt.Sprintf("waits for %s, of which nothing is known", other)
	case same && running.HealthySince.IsZero():
		b.reason = fmt.Sprintf("waits for %s, which is not healthy with it", other)
	case same:
		b.again = running.HealthySince.Add(lasts)
		b.reason = fmt.Sprintf("waits until %s, when %s has been healthy with it for %s", b.again.UTC().Format(time.RFC3339), other, lasts)
	case c.revision:
		b.reason = fmt.Sprintf("waits for %s, which runs nothing of %s", other, c.told(image))
	case !there:
		b.reason = fmt.Sprintf("waits for %s, which runs no %s", other, image.Repository)
	default:
		b.reason = fmt.Sprintf("waits for %s, which runs %s", other, now.Reference())
	}
	return b, true
}

// sameImage compares digests, or tags where what runs isn't pinned.
func sameImage(running, image events.Image) bool {
	if running.Digest == "" {
		return running.Tag == image.Tag
	}
	return running.Digest == image.Digest
}

// merge puts the verdicts on all tags into their order.
func merge(tags []policy.Tag, open []policy.Verdict, bars map[string]bar) []policy.Verdict {
	all := make([]policy.Verdict, 0, len(tags))
	for _, t := range tags {
		if b, barred := bars[t.Name]; barred {
			all = append(all, policy.Verdict{Tag: t.Name, Reason: b.reason})
			continue
		}
		all = append(all, open[0])
		open = open[1:]
	}
	return all
}

// barred says, where no open tag is better than the current, whether one that
// is barred would be.
func (d Decision) barred(rule *Rule, all policy.Question, reason string) Decision {
	if len(d.bars) > 0 {
		if whole, err := policy.Choose(rule.Track, all); err == nil && whole.Tag != "" {
			if b, barred := d.bars[whole.Tag]; barred {
				d.about = whole.Tag
				return d.end(b.outcome, whole.Tag+" "+b.reason)
			}
		}
	}
	return d.end(events.Skip, reason)
}

// leave is what is needed before the target is deployed: people, and a time
// that isn't frozen.
func (d Decision) leave(rule *Rule, f Facts, reason string) Decision {
	if rule.Mode == api.PullRequest {
		d.Pull = true // whoever merges it says when
		return d.end(events.Propose, reason+"; by a pull request")
	}
	end, window, frozen := rule.freezes.End(f.Now)
	var votes approval.Verdict
	if rule.Mode == api.Manual || frozen && rule.Approvals != nil {
		d, votes = d.ask(rule, f, reason)
		if rule.Mode == api.Manual && votes.Status != events.Approved {
			return d
		}
	}
	overridden := votes.Status == events.Approved && votes.OverridesFreeze != ""
	if frozen && !overridden {
		d.Ending = nil // the votes stay for when the freeze ends
		return d.again(end).end(events.Frozen, fmt.Sprintf("%s, but nothing is deployed until %s (freeze %s)", reason, end.Format(time.RFC3339), window))
	}
	if frozen {
		d.Overrider = votes.OverridesFreeze
	}
	d.Propose = nil
	d.Approvers = votes.Approvers
	if votes.Status == events.Approved {
		reason += ", " + votes.Reason
	}
	return d.end(events.Deploy, reason)
}

// ask counts the votes on the target, and proposes it where nobody was asked.
func (d Decision) ask(rule *Rule, f Facts, reason string) (Decision, approval.Verdict) {
	p := f.Proposal
	if p != nil && p.Status == "" && !rule.Supersedes() && d.stays(rule, f) {
		d = d.towards(f.Tags, target(*p).Tag, rule) // what is open is decided first
	}
	b := approval.Binding{
		Application: d.Application.Name.String(), Image: d.Image.String(), From: d.From.Reference(), To: d.Target.Reference(),
		Digest: d.digest, Rule: rule.Name, RuleHash: rule.Hash,
	}
	// What was cancelled, as while the application was suspended, nobody has decided on.
	if p == nil || p.Binding != b || p.Status == events.Approved || p.Status == events.Cancelled || p.Status != "" && p.Chain != d.Chain {
		former := ""
		if p != nil && p.Status != "" {
			former = p.ID
		}
		fresh := approval.Open(b, d.Chain, d.Pusher, rule.Approvals, f.Now, former)
		d.Propose = &fresh
		p = &fresh
	}
	if p.Status != "" {
		return d.end(events.Skip, d.Target.Tag+" was "+p.Reason), approval.Verdict{Status: p.Status, Reason: p.Reason}
	}
	v := p.Verdict(f.Now)
	switch v.Status {
	case "":
		if p.Deadline != nil {
			d = d.again(*p.Deadline)
		}
		return d.end(events.Propose, reason+"; "+v.Reason), v
	case events.Approved:
		d.Ending = &Ending{*p, v.Status, v.Reason}
		return d, v
	default:
		d.Ending = &Ending{*p, v.Status, v.Reason}
		return d.end(events.Skip, d.Target.Tag+" was "+v.Reason), v
	}
}

// target is the reference that a proposal would move to.
func target(p approval.Proposal) events.Image {
	i, err := events.ParseImage(p.Image+":"+p.To, nil)
	if err != nil {
		return events.Image{}
	}
	return i
}

// stays says whether the open proposal is still a move that the rule allows.
func (d Decision) stays(rule *Rule, f Facts) bool {
	p := f.Proposal
	if p.RuleHash != rule.Hash || p.From != d.From.Reference() {
		return false
	}
	tag := target(*p).Tag
	for _, k := range f.Tags {
		if k.Tag != tag || k.Digest != p.Digest {
			continue
		}
		for _, v := range d.Verdicts {
			if v.Tag == tag {
				return v.Chosen || v.Reason == d.Target.Tag+" is better"
			}
		}
	}
	return false
}

// settled ends an open proposal that the decision has left behind.
func (d Decision) settled(f Facts) Decision {
	p := f.Proposal
	if p == nil || p.Status != "" || d.Ending != nil || d.Propose != nil {
		return d
	}
	if asked := d.Target.Reference() == p.To && d.From.Reference() == p.From; asked && (d.Outcome == events.Propose || d.Outcome == events.Frozen) {
		return d // it is still open
	}
	if v := p.Verdict(f.Now); d.From.Reference() == p.To && v.Status == events.Approved {
		d.Ending = &Ending{*p, v.Status, v.Reason}
		return d
	}
	d.Ending = &Ending{*p, events.Cancelled, "it is no longer what the policies would do: " + d.Reason}
	return d
}
