package sync

import "context"

// wakeup is a wake-up on its way into the durable queue.
type wakeup struct {
	key, reason string
	branch      bool // key is a branch, not an application
}

// store moves wake-ups into the durable queue, until each is there.
func (a *applications) store(ctx context.Context) error {
	for {
		w, shutdown := a.wakeups.Get()
		if shutdown {
			return nil
		}
		queue := a.brain.appQ
		if w.branch {
			queue = a.brain.repoQ
		}
		err := queue.Put(ctx, w.key, Wake{Reason: w.reason})
		a.wakeups.Done(w)
		if err == nil {
			a.wakeups.Forget(w)
		} else if ctx.Err() == nil {
			a.brain.log.Warn("wake: try again", "key", w.key, "error", err)
			a.wakeups.AddRateLimited(w)
		}
	}
}
