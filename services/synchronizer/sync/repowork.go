package sync

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// patience is how long we wait for a commit that an event told of. After a
// forced push it never comes.
const patience = 2 * time.Minute

// staleness is how long a host may be behind itself, and give a head that lies behind
// what it gave before. After that the branch went back.
const staleness = 20 * time.Second

// fanOut is how many applications are woken or compared at a time.
const fanOut = 16

// repoWork fetches a branch and wakes the applications that the change
// touches.
func (b *Brain) repoWork(ctx context.Context, work Work) error {
	apps := b.apps.of(work.Key)
	if len(apps) == 0 {
		return nil
	}
	r, apps, err := b.open(ctx, work.Key, apps)
	if r == nil || err != nil {
		return err
	}
	returned := r.returned(ctx, work.Wakes)
	if head := r.evaluatedBy(work.Wakes); head != nil && !returned && !slices.ContainsFunc(apps, func(a *app) bool { return a.strayed(ctx, r, head) }) {
		return nil
	}
	told := commitsOf(work.Wakes)
	head, err := r.fetch(ctx, lastTold(told))
	if err != nil {
		return b.sourceFault(ctx, apps, err)
	}
	late, err := r.awaited(ctx, head, told)
	if err != nil {
		return err
	}
	waits := late != "" && time.Since(work.Since) < patience
	notYet := fmt.Errorf("commit %s is not in %s yet, whose head is %s", late, work.Key, head.Hash())
	// The host may be behind itself; but what is new is new, whatever else comes.
	if waits && r.evaluated != "" && time.Since(work.Since) < staleness {
		if behind, err := r.contains(ctx, r.evaluated, head.Hash()); err != nil || behind {
			return notYet
		}
	}
	chain, err := b.chainOf(ctx, r, work.Wakes, head)
	if err != nil {
		return err
	}
	if err := b.evaluate(ctx, r, apps, head, Wake{Reason: ReasonCommit, Commit: head.Hash(), Chain: chain, Back: returned}, work.any(ReasonStart)); err != nil {
		return err
	}
	r.mu.Lock()
	r.evaluated = head.Hash()
	r.mu.Unlock()
	if waits {
		return notYet
	}
	return nil
}

// evaluatedBy gives the head where all that woke was that the branch moved to it,
// and every application was compared with it already: several events tell of one
// push. Else it is nil.
func (r *repo) evaluatedBy(wakes []Wake) Commit {
	head := r.headSince(time.Time{})
	if head == nil || head.Hash() != r.evaluated || len(wakes) == 0 {
		return nil
	}
	for _, w := range wakes {
		if w.Reason != ReasonCommit || w.Commit != r.evaluated {
			return nil
		}
	}
	return head
}

// returned says whether the branch is again where it was evaluated, and was elsewhere in
// between: another replica may have it brought in, and has not recorded so yet.
func (r *repo) returned(ctx context.Context, wakes []Wake) bool {
	return slices.ContainsFunc(wakes, func(w Wake) bool {
		if w.Before == "" || w.Commit == "" || w.Commit != r.evaluated {
			return false
		}
		in, err := r.contains(ctx, r.evaluated, w.Before)
		return err == nil && !in
	})
}

// awaited is the first of the commits that the head doesn't contain, and that may
// come: one that was in the branch when we last looked was taken back.
func (r *repo) awaited(ctx context.Context, head Commit, commits []string) (string, error) {
	for _, c := range commits {
		in, err := r.contains(ctx, head.Hash(), c)
		if err != nil {
			return "", err
		}
		if !in && r.evaluated != "" {
			in, err = r.contains(ctx, r.evaluated, c)
		}
		if err != nil || !in {
			return c, nil //nolint:nilerr // it isn't known to have been there
		}
	}
	return "", nil
}

// open opens the place of applications, which is the same for all, and gives
// those that may use it. The others are woken to say why they don't. Without
// any there is no repo.
func (b *Brain) open(ctx context.Context, key string, apps []*app) (r *repo, may []*app, err error) {
	p, used := b.apps.placeOf(key)
	switch {
	case !used:
		return nil, nil, nil
	case p.secret != "":
		return b.openOwn(ctx, key, apps)
	}
	refused := map[string]error{}
	for _, a := range apps {
		fault, known := refused[a.name.Namespace]
		if !known {
			fault = b.mayUse(a.name.Namespace, p)
			refused[a.name.Namespace] = fault
		}
		if fault == nil {
			may = append(may, a)
		} else if err := b.say(ctx, a); err != nil {
			return nil, nil, err
		}
	}
	if len(may) == 0 {
		return nil, nil, nil
	}
	if r, err = b.repos.get(ctx, p); err != nil {
		return nil, nil, b.sourceFault(ctx, may, err)
	}
	return r, may, nil
}

// openOwn opens a place with the credentials of a Secret that each application
// reads with the rights of its account.
func (b *Brain) openOwn(ctx context.Context, key string, apps []*app) (r *repo, may []*app, err error) {
	tried := map[string]error{} // by account
	for _, a := range apps {
		u := b.apps.cached(a.key)
		if u == nil {
			continue
		}
		application, err := decode(u)
		if err != nil {
			continue // told when it was observed
		}
		fault, known := tried[application.Spec.Destination.ServiceAccount]
		if !known {
			var opened *repo
			if opened, fault = b.source(ctx, a, application); fault == nil {
				if opened.key() != key {
					continue // it has another source by now
				}
				r = opened
			}
			tried[application.Spec.Destination.ServiceAccount] = fault
		}
		if fault == nil {
			may = append(may, a)
		} else if err := b.say(ctx, a); err != nil {
			return nil, nil, err
		}
	}
	return r, may, nil
}

// say wakes an application whose source can't be used, unless it said so.
func (b *Brain) say(ctx context.Context, a *app) error {
	if a.marked.Load() {
		return nil
	}
	return b.appQ.Put(ctx, a.key, Wake{Reason: ReasonStart})
}

// evaluate wakes what differs between the last evaluated head and this one; all, where
// the branch went back to that one. Of a branch that went back also those of which it isn't
// known: another replica may be bringing in what was taken back, and not have recorded it.
// Started says that a replica has: what one that died was waiting for is in
// nobody's memory, and found by its status.
func (b *Brain) evaluate(ctx context.Context, r *repo, apps []*app, head Commit, wake Wake, started bool) error {
	r.looksAt(head)
	changed, known := r.changes(ctx, r.evaluated, head.Hash())
	if !known {
		wake.Reason, wake.Back = ReasonStart, true
		return each(ctx, apps, func(ctx context.Context, a *app) error { return b.compare(ctx, r, a, head, wake) })
	}
	forward, err := r.contains(ctx, head.Hash(), r.evaluated)
	if err != nil || !forward {
		forward, r.passed = false, nil
	}
	everyone := wake.Back
	wake.Back = wake.Back || !forward
	touched := r.index.touched(changed)
	var woken, unknown []*app
	strayed := map[*app]bool{}
	for _, a := range apps {
		_, hit := touched[a.key]
		away := a.strayed(ctx, r, head)
		if away {
			strayed[a] = true
		}
		switch {
		case everyone, !forward && !r.index.knows(a.key), hit && !(forward && b.begun(a, head)), started && b.unsettled(a.key), a.marked.Load(), away:
			woken = append(woken, a)
		case !hit && !r.index.knows(a.key):
			unknown = append(unknown, a)
		}
		if hit { // another replica may render it, and of other files than before
			r.index.drop(a.key)
		}
	}
	b.log.Debug("branch moved", "repository", r.name, "branch", r.of(), "commit", head.Hash(), "paths", len(changed), "applications", len(woken), "compared", len(unknown))
	if err := each(ctx, unknown, func(ctx context.Context, a *app) error { return b.compare(ctx, r, a, head, wake) }); err != nil {
		return err
	}
	for key := range touched {
		for _, giver := range b.apps.givers(key) { // nobody may want any more what it leaves
			if err := b.appQ.Put(ctx, giver, Wake{Reason: ReasonLeaving}); err != nil {
				return err
			}
		}
	}
	return each(ctx, woken, func(ctx context.Context, a *app) error {
		wake := wake
		wake.Back = wake.Back || strayed[a]
		return b.appQ.Put(ctx, a.key, wake)
	})
}

// begun says whether a replica has recorded that it brings the head in, for the
// spec as it is: another event of the same commit needn't have it done once more.
func (b *Brain) begun(a *app, head Commit) bool {
	u := b.apps.cached(a.key)
	if u == nil {
		return false
	}
	generation, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	return attemptedOf(u) == head.Hash() && generation == u.GetGeneration()
}

// compare wakes an application unless it is healthy with what the head has
// for it. It renders what isn't in the index yet.
func (b *Brain) compare(ctx context.Context, r *repo, a *app, head Commit, wake Wake) error {
	u := b.apps.cached(a.key)
	if u == nil {
		return nil
	}
	application, err := decode(u)
	if err != nil {
		return nil // told when it was observed
	}
	if _, suspended := application.Metadata.Suspension(); suspended {
		return nil
	}
	if err := b.verify(ctx, a, application, head); err != nil {
		return b.appQ.Put(ctx, a.key, wake) // its worker says so
	}
	vars, err := b.variables(ctx, a, application)
	if err != nil {
		return b.appQ.Put(ctx, a.key, wake) // its worker says so
	}
	vars, known := b.knownChart(ctx, a, application, vars)
	if !known || vars.cluster != nil {
		return b.appQ.Put(ctx, a.key, wake) // its worker fetches it, or looks what it finds now
	}
	var renderErr error
	if !r.index.knows(a.key) {
		var result render.Result
		result, renderErr = render.Render(ctx, vars.request(head, application))
		r.index.set(a.key, result.Inputs)
	}
	if renderErr == nil && application.Status != nil && application.Status.Variables == vars.version && u.GetGeneration() == application.Status.Generation() && settled(application.Status) {
		if changed, known := r.changes(ctx, application.Status.Revision, head.Hash()); known && !r.index.touches(a.key, changed) {
			return nil
		}
	}
	return b.appQ.Put(ctx, a.key, wake)
}

// settled says that the last sync went all its way.
func settled(s *api.ApplicationStatus) bool {
	if s == nil {
		return false
	}
	ready := s.Condition(api.ConditionReady)
	return ready != nil && (ready.Status == "True" || ready.Reason == reasonDegraded) && s.Attempted == s.Revision &&
		s.Condition(api.ConditionReconciling) == nil && s.Condition(api.ConditionStalled) == nil
}

// sourceFault marks the applications of a branch that can't be fetched. One
// that runs keeps running and stays Ready; all say why nothing comes.
func (b *Brain) sourceFault(ctx context.Context, apps []*app, fault error) error {
	err := each(ctx, apps, func(ctx context.Context, a *app) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		return b.markSource(ctx, a, fault)
	})
	if err != nil {
		b.log.Warn("mark applications", "error", err)
	}
	if permanentSource(fault) {
		return nil // a change of the config restarts us, one of the spec wakes
	}
	return fault
}

func commitsOf(wakes []Wake) []string {
	var all []string
	for _, w := range wakes {
		if w.Commit != "" {
			all = append(all, w.Commit)
		}
	}
	return all
}

// chainsFor is the chain of the event that told of the head.
func chainsFor(wakes []Wake, head Commit) string {
	for _, w := range wakes {
		if (w.Commit == head.Hash() || w.Reason == ReasonTag) && w.Chain != "" {
			return w.Chain
		}
	}
	return ""
}

// each calls f for all applications, a few at a time, and gives one error.
func each(ctx context.Context, apps []*app, f func(context.Context, *app) error) error {
	var done sync.WaitGroup
	var mu sync.Mutex
	var first error
	slots := make(chan struct{}, fanOut)
	for _, a := range apps {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			if err := f(ctx, a); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	done.Wait()
	return first
}
