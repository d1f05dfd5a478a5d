package promote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
)

// chartRetry is when charts and bases are asked for again that couldn't be had.
const chartRetry = time.Minute

// mayCome says that an application couldn't be rendered for a chart or a base that
// may be there the next time.
func mayCome(err error) bool {
	may := []error{charts.ErrAway, charts.ErrMissing, charts.ErrUnauthorized, charts.ErrDigest, bases.ErrAway, bases.ErrMissing, bases.ErrUnauthorized}
	return slices.ContainsFunc(may, func(may error) bool { return errors.Is(err, may) })
}

// retryAt is when the state should be read again though its commit is the same.
func (s *State) retryAt(now time.Time) time.Time {
	for _, r := range s.paths {
		if mayCome(r.err) {
			return now.Add(chartRetry)
		}
	}
	return time.Time{}
}

// current says that a state of a commit needn't be read again.
func (l *loader) current(s *State, hash string, now time.Time) bool {
	return s != nil && s.Head.Hash() == hash && (s.retry.IsZero() || now.Before(s.retry)) &&
		maps.Equal(revisions(s.guests), revisions(l.lending.to(l.key())))
}

// UseElsewhere says who brings charts that lie outside of the repositories, and what
// kustomizations name beyond them. It is called before anything is read; ctx ends
// when nobody is to ask again.
func (all *Repos) UseElsewhere(ctx context.Context, s charts.Source, b bases.Source) {
	for _, r := range all.byKey {
		r.loader.charts, r.loader.bases = s, b
		r.retry = func(s *State) { all.retryCharts(ctx, r.Key, s) }
	}
}

// retryCharts has a repository looked at again when charts may have come. A
// process that ends meanwhile reads everything at its start.
func (all *Repos) retryCharts(ctx context.Context, key string, s *State) {
	if s.retry.IsZero() {
		return
	}
	time.AfterFunc(time.Until(s.retry), func() {
		ctx, cancel := context.WithTimeout(ctx, chartRetry)
		defer cancel()
		if err := all.queue.Put(ctx, key, head); err != nil && ctx.Err() == nil {
			all.log.Warn("have a repository looked at for its charts", "repository", key, "error", err)
		}
	})
}
