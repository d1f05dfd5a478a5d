package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// restate tells again what an application runs, for those who asked, and gives
// what else woke it.
func (b *Brain) restate(ctx context.Context, a *app, l *live, wakes []Wake) (rest []Wake, err error) {
	rest = slices.DeleteFunc(slices.Clone(wakes), func(w Wake) bool { return w.Reason == ReasonState })
	s := l.status()
	if len(rest) == len(wakes) || !settled(s) || s.Degraded != nil || len(s.Images) == 0 {
		return rest, nil
	}
	image, err := events.ParseImage(s.Images[0], b.cfg.Images)
	if err != nil {
		return rest, fmt.Errorf("tell again of %s: %w", a.name, err)
	}
	since := healthySince(s)
	for _, w := range wakes {
		if w.Reason != ReasonState {
			continue
		}
		e, err := events.New(events.Meta{
			ID: events.FollowID(w.Chain, events.ServiceDeployedType, a.name.String()), Source: b.cfg.Source, ChainID: w.Chain, Time: time.Now(),
		}, events.ServiceEvent{Kind: events.ServiceDeployedType, Service: events.Service{
			Environment: b.environment(l.application.Spec), Artifact: events.ImagePURL(image), Cluster: b.cfg.Cluster, Application: a.name.String(), Commit: s.Revision,
			Images: s.Images, HealthySince: &since, Restated: true,
		}})
		if err != nil {
			return rest, fmt.Errorf("tell again of %s: %w", a.name, err)
		}
		if err := b.bus.Publish(ctx, e); err != nil {
			return rest, fmt.Errorf("tell again of %s: %w", a.name, err)
		}
	}
	return rest, nil
}

// healthySince is since when an application has been healthy with the images
// that it has: the oldest sync in a row that had them.
func healthySince(s *api.ApplicationStatus) time.Time {
	since := time.Now().UTC()
	if c := s.Condition(api.ConditionReady); c != nil {
		since = c.LastTransitionTime.UTC()
	}
	for _, h := range s.History {
		if h.Outcome != api.OutcomeHealthy || !slices.Equal(h.Images, s.Images) {
			break
		}
		if h.Time.Before(since) {
			since = h.Time.UTC()
		}
	}
	return since
}
