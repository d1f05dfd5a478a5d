package promote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// Decision is what becomes of one application and image.
type Decision struct {
	Application *Application
	Image       events.ImageRepository
	// From is the reference in use, Target the one to move to; Target is empty
	// where there is none.
	From, Target events.Image
	Outcome      events.Outcome
	Rule, Reason string
	// Chain is that of the tag to move to, Pusher who pushed it; either may be
	// empty.
	Chain, Pusher string
	// Verdicts say what became of each known tag.
	Verdicts []policy.Verdict
	// Again is when the clock alone may change the decision; zero for never.
	Again time.Time
	// Propose is what people are to be asked; nil for nothing.
	Propose *approval.Proposal
	// Ending ends the open proposal; for a deploy, once it has landed.
	Ending *Ending
	// Approvers have approved it, Overrider in spite of a freeze.
	Approvers []string
	Overrider string
	// Pull says that a pull request shall move it: a person merges.
	Pull bool

	// asks are the images whose revisions must be known before it can be
	// decided.
	asks []events.Image

	// about is the tag that is kept out, where there is none to move to.
	about string

	rule   *Rule
	digest string         // of the target, also where only the tag is written
	bars   map[string]bar // by tag
}

// Ending is how a proposal ends.
type Ending struct {
	Proposal       approval.Proposal
	Status, Reason string
}

// Facts are what a decision depends on besides the head of Git.
type Facts struct {
	Tags []Known
	Now  time.Time
	// Runs says what an application runs; ok is false where nobody told.
	Runs func(events.Application) (r Running, ok bool)
	// Revision gives the revision of its source that an image was built of,
	// empty where it has none; ok is false where that isn't known yet.
	Revision func(events.Image) (revision string, ok bool)
	// Proposal is the pair's, open or ended; nil where there never was one.
	Proposal *approval.Proposal
	// Waiting is a rollback or hold of the application that waits to be merged;
	// nil for none.
	Waiting *waiting
	Aliases events.Aliases
}

// Decide is a pure function of the state of Git and the facts. ok is false
// where no rule speaks for the pair: it is never touched.
func Decide(s *State, app *Application, image events.ImageRepository, f Facts) (d Decision, ok bool) {
	d = Decision{Application: app, Image: image, From: current(app, image)}
	rule, told := find(s.Rules, app.Name, image)
	if rule == nil {
		return d.end(events.Blocked, strings.Join(told, "; ")).settled(f), len(told) > 0
	}
	d.Rule, d.rule = rule.Name, rule
	held := f.Waiting.held(s.holds[app.Name.String()])
	switch {
	case rule.broken != nil:
		d = d.end(events.Blocked, rule.broken.Error())
	case app.Blocked != nil:
		d = d.end(events.Blocked, app.Blocked.Error())
	case held.broken != nil:
		d = d.end(events.Blocked, held.broken.Error())
	case app.Suspended != "":
		d = d.end(events.Skip, "the application is suspended: "+app.Suspended)
	case f.Waiting.suspends() != "":
		d = d.end(events.Skip, "the application is suspended: "+f.Waiting.suspends())
	case rule.Mode == api.Never:
		d = d.end(events.Skip, "the rule's mode is never")
	default:
		d = d.choose(rule, held, f)
	}
	return d.settled(f), true
}

// choose takes the best tag that nothing bars, and asks for leave to move.
func (d Decision) choose(rule *Rule, held heldVersions, f Facts) Decision {
	all := question(rule, d.From, f.Tags)
	var err error
	if all.Follow, d.asks, err = rule.followed(d.Application.Name, d.Image, f); err != nil {
		return d.end(events.Blocked, err.Error())
	}
	if len(d.asks) > 0 {
		return d.end(events.Waiting, fmt.Sprintf("waits for the registry, which is asked of what revision %s is", d.asks[0]))
	}
	d.bars = bars(rule, d.Application.Name, d.Image, held, f)
	if asked, waits := d.unasked(rule, all); waits {
		return asked
	}
	open := all
	open.Tags = slices.DeleteFunc(slices.Clone(all.Tags), func(t policy.Tag) bool { _, barred := d.bars[t.Name]; return barred })
	choice, err := policy.Choose(rule.Track, open)
	if err != nil {
		return d.end(events.Blocked, err.Error())
	}
	d.Verdicts = merge(all.Tags, choice.Verdicts, d.bars)
	for _, b := range d.bars {
		d = d.again(b.again)
	}
	switch {
	case choice.Tag == "":
		return d.barred(rule, all, choice.Reason)
	case choice.Tag == d.From.Tag && rule.Pin == api.PinTag:
		return d.unpinned(choice.Reason)
	}
	d = d.towards(f.Tags, choice.Tag, rule)
	return d.leave(rule, f, choice.Reason)
}

// unasked says whether the best tag is one of which the revision must be known
// first. The others are not asked for.
func (d Decision) unasked(rule *Rule, all policy.Question) (Decision, bool) {
	barred := func(t policy.Tag) bool { b, is := d.bars[t.Name]; return is && len(b.asks) == 0 }
	if !slices.ContainsFunc(all.Tags, func(t policy.Tag) bool { return len(d.bars[t.Name].asks) > 0 }) {
		return d, false
	}
	all.Tags = slices.DeleteFunc(slices.Clone(all.Tags), barred)
	best, err := policy.Choose(rule.Track, all)
	if err != nil || len(d.bars[best.Tag].asks) == 0 {
		return d, false
	}
	d.asks, d.about = d.bars[best.Tag].asks, best.Tag
	return d.end(events.Waiting, best.Tag+" "+d.bars[best.Tag].reason), true
}

// towards aims at a known tag.
func (d Decision) towards(tags []Known, tag string, rule *Rule) Decision {
	at := slices.IndexFunc(tags, func(k Known) bool { return k.Tag == tag })
	d.Chain, d.Pusher, d.digest = tags[at].Chain, tags[at].Pusher, tags[at].Digest
	d.Target = events.Image{Repository: d.Image, Tag: tag, Digest: tags[at].Digest}
	if rule.Pin == api.PinTag {
		d.Target.Digest = ""
	}
	return d
}

// again has the decision taken again at the earliest of its times.
func (d Decision) again(at time.Time) Decision {
	if !at.IsZero() && (d.Again.IsZero() || at.Before(d.Again)) {
		d.Again = at
	}
	return d
}

// unpinned skips a move to another digest where only the tag is written.
func (d Decision) unpinned(reason string) Decision {
	const but = ", but the rule's pin is tag, and the reference would stay as it is"
	for i, v := range d.Verdicts {
		if v.Chosen {
			d.Verdicts[i] = policy.Verdict{Tag: v.Tag, Reason: v.Reason + but}
		}
	}
	return d.end(events.Skip, reason+but)
}

func (d Decision) end(o events.Outcome, reason string) Decision {
	d.Outcome, d.Reason = o, reason
	return d
}

// question asks about the known tags whose digest the registry has confirmed;
// of the current one the time counts in any case.
func question(rule *Rule, from events.Image, tags []Known) policy.Question {
	q := policy.Question{
		Current: policy.Tag{Name: from.Tag, Digest: from.Digest}, AllowDowngrade: rule.AllowDowngrade,
		Tags: make([]policy.Tag, 0, len(tags)),
	}
	for _, k := range tags {
		if k.Tag == from.Tag {
			q.Current.Created = k.born()
		}
		if k.Digest != "" {
			q.Tags = append(q.Tags, policy.Tag{Name: k.Tag, Digest: k.Digest, Created: k.born()})
		}
	}
	return q
}

// prefers says whether a rule takes a version for newer than another one of the
// same image; born is when tags were.
func prefers(rule *Rule, version, over events.Image, born map[string]time.Time) bool {
	as := func(i events.Image) policy.Tag {
		return policy.Tag{Name: i.Tag, Digest: i.Digest, Created: born[i.Tag]}
	}
	choice, err := policy.Choose(rule.Track, policy.Question{Current: as(over), Tags: []policy.Tag{as(version)}})
	return err == nil && choice.Tag == version.Tag
}

// births are when known tags were born.
func births(tags []Known) map[string]time.Time {
	all := make(map[string]time.Time, len(tags))
	for _, k := range tags {
		all[k.Tag] = k.born()
	}
	return all
}

// current is the reference in use: of several that differ, the first that has
// a tag.
func current(app *Application, image events.ImageRepository) events.Image {
	var first events.Image
	for _, r := range app.Images {
		if r.Image.Repository == image && first.Tag == "" {
			first = r.Image
		}
	}
	return first
}

// made is the decision as an event.
func (d Decision) made() events.DecisionMade {
	return events.DecisionMade{
		Application: d.Application.Name.String(), Image: d.Image.String(), Outcome: d.Outcome,
		From: d.From.Reference(), To: d.Target.Reference(), Rule: d.Rule, Reason: d.Reason,
	}
}

// on is what became of one tag, for that tag's own chain. ok is false where
// the decision doesn't know the tag.
func (d Decision) on(tag string) (m events.DecisionMade, ok bool) {
	m = d.made()
	if tag == d.Target.Tag || d.Outcome == events.Blocked || len(d.Verdicts) == 0 {
		return m, true
	}
	for _, v := range d.Verdicts {
		if v.Tag == tag {
			m.Outcome, m.To, m.Reason = events.Skip, tag, tag+" "+v.Reason
			if b, barred := d.bars[tag]; barred {
				m.Outcome = b.outcome
			}
			return m, true
		}
	}
	return m, false
}
