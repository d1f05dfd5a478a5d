package sync

import (
	"context"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// follow records the head as what was applied, where the branch no longer has the commit
// that was, and what that had for the application is the same. Who never fetched it could
// not tell: others would wait for the application to have a commit of the branch.
func (b *Brain) follow(ctx context.Context, a *app, l *live, v *sight) error {
	was, head := l.status().Revision, v.head.Hash()
	if in, err := v.repo.contains(ctx, head, was); err != nil || in {
		return nil //nolint:nilerr // as long as that isn't known, it stays
	}
	b.log.Info("the branch no longer has what was applied, and has the same", "application", a.name.String(), "was", was, "commit", head)
	err := b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		if s.Healthy == was {
			s.Healthy = head
		}
		if ready := s.Condition(api.ConditionReady); ready != nil {
			told := *ready
			told.Message = strings.ReplaceAll(told.Message, short(was), short(head))
			s.SetCondition(told)
		}
		s.Revision, s.Attempted = head, head
	})
	if err != nil {
		return err
	}
	return b.stand(ctx, a, l) // who guarded what it told before guards it no longer
}

func short(commit string) string { return commit[:min(len(commit), 12)] }
