package sync

import "context"

// wakeup is a wake-up on its way into the durable queue.
type wakeup struct {
	key, reason string
	branch      bool // key is a branch, not an application
}

// reasonOvertaken is of a wake-up that may turn out to be none: see [Brain.overtaken]. In
// the queue it is a commit's.
const reasonOvertaken = "overtaken"

// store moves wake-ups into the durable queue, until each is there.
func (a *applications) store(ctx context.Context) error {
	for {
		w, shutdown := a.wakeups.Get()
		if shutdown {
			return nil
		}
		err := a.put(ctx, w)
		a.wakeups.Done(w)
		if err == nil {
			a.wakeups.Forget(w)
		} else if ctx.Err() == nil {
			a.brain.log.Warn("wake: try again", "key", w.key, "error", err)
			a.wakeups.AddRateLimited(w)
		}
	}
}

func (a *applications) put(ctx context.Context, w wakeup) error {
	switch {
	case w.branch:
		return a.brain.repoQ.Put(ctx, w.key, Wake{Reason: w.reason})
	case w.reason != reasonOvertaken:
		return a.brain.appQ.Put(ctx, w.key, Wake{Reason: w.reason})
	}
	if head := a.brain.overtaken(ctx, w.key); head != "" {
		return a.brain.appQ.Put(ctx, w.key, Wake{Reason: ReasonCommit, Commit: head})
	}
	return nil
}
