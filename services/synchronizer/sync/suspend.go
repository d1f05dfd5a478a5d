package sync

import (
	"context"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

const reasonSuspended = "Suspended"

// suspension says in the status whether an application is suspended; stop says
// that it is. What was applied stays, and its health goes on being told; nothing
// is applied or put right.
func (b *Brain) suspension(ctx context.Context, a *app, l *live) (stop bool, err error) {
	why, suspended := l.application.Metadata.Suspension()
	told := l.status().Condition(api.ConditionSuspended)
	switch {
	case suspended && told != nil && told.Message == why, !suspended && told == nil:
		return suspended, nil
	case suspended:
		b.log.Info("suspended", "application", a.name.String(), "why", why)
		b.notes.say(l.object, reasonSuspended, why)
		return true, b.write(ctx, a, l, func(s *api.ApplicationStatus) {
			s.SetCondition(api.Condition{
				Type: api.ConditionSuspended, Status: "True", Reason: reasonSuspended, Message: why,
				ObservedGeneration: l.object.GetGeneration(), LastTransitionTime: time.Now().UTC().Truncate(time.Second),
			})
		})
	}
	b.log.Info("resumed", "application", a.name.String())
	b.notes.say(l.object, "Resumed", "it is synced again")
	return false, b.write(ctx, a, l, func(s *api.ApplicationStatus) { s.RemoveCondition(api.ConditionSuspended) })
}
