package promote

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// proven are the tags that the application runs, or was healthy with, which a
// rule waits for or follows: they may be wanted where the best tag of all isn't
// there yet.
func (s *Sweeper) proven(ctx context.Context, rule *Rule, app events.Application, repo events.ImageRepository, tags []Known) []string {
	var of func(events.Application) (events.Application, error)
	var same api.Same
	switch {
	case rule.After != nil:
		of, same = rule.After.Of, rule.After.Same
	case rule.Track.Follow != nil:
		of, same = rule.Track.Follow.Of, rule.Track.Follow.Same
	default:
		return nil
	}
	other, err := of(app)
	if err != nil {
		return nil // the decision on the application tells of it
	}
	running, ok := s.Health.Of(other)
	if !ok {
		return nil
	}
	past := [][]string{running.Images}
	for _, p := range running.Past {
		past = append(past, p.Images)
	}
	var all []string
	for _, images := range past {
		if i, there := (Running{Images: images}).image(repo, s.Aliases); there && i.Tag != "" {
			all = append(all, i.Tag)
		}
	}
	if same == api.SameRevision {
		all = append(all, s.builtOf(ctx, rule, repo, tags, running.Images)...)
	}
	return all
}

// revisionsAtOnce is for how many tags one sweep asks.
const revisionsAtOnce = 100

// builtOf is the first of the tags that were found, in the order in which the
// rule would take them, that is of the same revision as the running images. An
// error is left to the next sweep.
func (s *Sweeper) builtOf(ctx context.Context, rule *Rule, repo events.ImageRepository, tags []Known, running []string) []string {
	f := Facts{Tags: tags, Aliases: s.Aliases, Revision: func(i events.Image) (string, bool) {
		if i.Digest == unasked {
			i.Digest = "" // by its tag, which the sweep has just seen
		}
		if revision, known := s.Revisions.Of(i, time.Now()); known {
			return revision, true
		}
		if _, err := s.Revisions.ask(ctx, []events.Image{i}, time.Now()); err != nil {
			s.Log.InfoContext(ctx, "can't ask for the revision of an image", "image", i.String(), "error", err.Error())
			return "", false
		}
		return s.Revisions.Of(i, time.Now())
	}}
	c := f.comparison(repo, api.SameRevision)
	for _, k := range rule.inOrder(repo, tags) {
		if c.same(running, events.Image{Repository: repo, Tag: k.Tag, Digest: k.Digest}) {
			return []string{k.Tag}
		}
		if len(c.asks) > 0 {
			break
		}
	}
	return nil
}

// inOrder are the tags that a rule may take, the first first.
func (r *Rule) inOrder(repo events.ImageRepository, tags []Known) []Known {
	if r.Track.Follow != nil {
		takes := policy.Takes(r.Track.Follow.Filter)
		all := slices.DeleteFunc(slices.Clone(tags), func(k Known) bool { return !takes(k.Tag) })
		slices.SortFunc(all, func(a, b Known) int { return strings.Compare(b.Tag, a.Tag) })
		return all[:min(len(all), revisionsAtOnce)]
	}
	q := question(r, events.Image{Repository: repo}, tags)
	var all []Known
	for len(all) < revisionsAtOnce {
		choice, err := policy.Choose(r.Track, q)
		if err != nil || choice.Tag == "" {
			break
		}
		all = append(all, tags[slices.IndexFunc(tags, func(k Known) bool { return k.Tag == choice.Tag })])
		q.Tags = slices.DeleteFunc(q.Tags, func(t policy.Tag) bool { return t.Name == choice.Tag })
	}
	return all
}
