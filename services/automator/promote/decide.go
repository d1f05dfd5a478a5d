package promote

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// Decision is what becomes of one application and image.
type Decision struct {
	Application *Application
	Image       events.ImageRepository
	// From is the reference in use, Target the one to write; Target is empty
	// unless the outcome is deploy.
	From, Target events.Image
	Outcome      events.Outcome
	Rule, Reason string
	// Chain is that of the tag to move to, or empty.
	Chain string
	// Verdicts say what became of each known tag.
	Verdicts []policy.Verdict
}

// Decide is a pure function of the state of Git and the known tags. ok is
// false where no rule speaks for the pair: it is never touched.
func Decide(s *State, app *Application, image events.ImageRepository, tags []Known) (d Decision, ok bool) {
	d = Decision{Application: app, Image: image, From: current(app, image)}
	rule, told := find(s.Rules, app.Name, image)
	if rule == nil {
		return d.end(events.Blocked, strings.Join(told, "; ")), len(told) > 0
	}
	d.Rule = rule.Name
	switch {
	case rule.broken != nil:
		return d.end(events.Blocked, rule.broken.Error()), true
	case app.Blocked != nil:
		return d.end(events.Blocked, app.Blocked.Error()), true
	case rule.Mode == api.Never:
		return d.end(events.Skip, "the rule's mode is never"), true
	case rule.Track.Follow != nil:
		return d.end(events.Blocked, unfollowed(rule.Track.Follow, app.Name).Error()), true
	}
	choice, err := policy.Choose(rule.Track, question(rule, d.From, tags))
	if err != nil {
		return d.end(events.Blocked, err.Error()), true
	}
	d.Verdicts = choice.Verdicts
	if choice.Tag == "" {
		return d.end(events.Skip, choice.Reason), true
	}
	if choice.Tag == d.From.Tag && rule.Pin == api.PinTag {
		return d.unpinned(choice.Reason), true
	}
	at := slices.IndexFunc(tags, func(k Known) bool { return k.Tag == choice.Tag })
	d.Chain = tags[at].Chain
	d.Target = events.Image{Repository: image, Tag: choice.Tag, Digest: tags[at].Digest}
	if rule.Pin == api.PinTag {
		d.Target.Digest = ""
	}
	return d.end(events.Deploy, choice.Reason), true
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

// unfollowed says why a follow track decides nothing: what an application
// runs is told by events of its health, which the automator doesn't read.
func unfollowed(f *api.Follow, app events.Application) error {
	followed, err := f.Of(app)
	if err != nil {
		return err
	}
	return fmt.Errorf("the track follows %s, and the automator can't follow yet: use another track", followed)
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
			return m, true
		}
	}
	return m, false
}
