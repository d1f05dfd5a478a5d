package sync

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// freshForResync is how old a fetch may be that a resync uses: the
// applications of one branch share it.
const freshForResync = time.Minute

// freshAs is how young the head must be for what woke an application. A
// commit names itself; who changes a spec may have pushed just before.
func freshAs(work Work) time.Time {
	var at time.Time
	for _, w := range work.Wakes {
		switch w.Reason {
		case ReasonSpec, ReasonAsked:
			return work.Since
		case ReasonResync:
			at = work.Since.Add(-freshForResync)
		}
	}
	return at
}

// appWork looks at one application and brings it to the branch's head.
func (b *Brain) appWork(ctx context.Context, work Work) error {
	a := b.apps.get(work.Key)
	if a == nil {
		return nil // it is gone; one that appears wakes by itself
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	see := b.current
	if slices.ContainsFunc(work.Wakes, func(w Wake) bool { return w.Back }) {
		see = b.read // another replica may just have recorded what was taken back: nothing to do is no write, and meets no conflict
	}
	l, err := see(ctx, a)
	if err != nil || l == nil {
		return err
	}
	if l.object.GetDeletionTimestamp() != nil {
		return b.finalize(ctx, a, l)
	}
	woken := len(work.Wakes)
	if work.Wakes, err = b.restate(ctx, a, l, work.Wakes); err != nil || woken > 0 && len(work.Wakes) == 0 {
		return err
	}
	if stop, err := b.suspension(ctx, a, l); stop && err == nil {
		return b.takeStock(ctx, a, l, work)
	} else if err != nil {
		return err
	}
	r, head, err := b.head(ctx, a, l, work)
	if err != nil {
		if markErr := b.markSource(ctx, a, err); markErr != nil {
			return markErr
		}
		if permanentSource(err) {
			return nil
		}
		return errors.Join(err, b.heal(ctx, a, work))
	}
	if a.wait != nil && a.wait.run.over(l.status()) {
		b.stopWaiting(a)
	}
	err = b.bring(ctx, a, l, r, head, work)
	if _, is := missing(err); is {
		return errors.Join(err, b.heal(ctx, a, work))
	}
	return err
}

// head finds the commit to apply: the branch's head, never one that lies
// behind what was applied unless the branch itself went back.
func (b *Brain) head(ctx context.Context, a *app, l *live, work Work) (*repo, Commit, error) {
	r, err := b.source(ctx, a, l.application)
	if err != nil {
		return nil, nil, err
	}
	head, err := r.have(ctx, commitsOf(work.Wakes), freshAs(work))
	if err != nil {
		return nil, nil, err
	}
	if wentBack(work.Wakes, head) {
		if head, err = r.fetch(ctx, ""); err != nil {
			return nil, nil, err
		}
	}
	attempted := l.status().Attempted
	if attempted == "" || r.ref.Kind == api.RefCommit {
		return r, head, nil
	}
	head, err = r.asNewAs(ctx, head, attempted, a.saw(attempted))
	return r, head, err
}

// wentBack says whether a head may be from before the branch went back: it may contain the
// commit to which it went, as what it was before does.
func wentBack(wakes []Wake, head Commit) bool {
	return slices.ContainsFunc(wakes, func(w Wake) bool { return w.Back && w.Commit != head.Hash() })
}

// permanentSource says that only a change of config, spec or Project helps.
func permanentSource(err error) bool {
	_, refused := errors.AsType[*refusedError](err)
	return refused || errors.Is(err, ErrUnknownRepository)
}

// markSource says in the status why nothing comes from the branch, or why it
// can't be rendered for lack of variables or keys. What runs keeps running, and
// Ready unless the spec itself is at fault.
func (b *Brain) markSource(ctx context.Context, a *app, fault error) error {
	l, err := b.current(ctx, a)
	if err != nil || l == nil {
		return err
	}
	c := conditions{reconciling: true, reason: reasonSource, message: fault.Error(), generation: l.object.GetGeneration(), now: time.Now()}
	if reason, is := missing(fault); is {
		c.reason = reason
	}
	if permanentSource(fault) {
		c.reconciling, c.stalled, c.ready, c.reason = false, true, "False", reasonRepository
		if refused, ok := errors.AsType[*refusedError](fault); ok {
			c.reason = refused.reason
		}
	} else if ready := l.status().Condition(api.ConditionReady); ready == nil || ready.Status != "True" {
		c.ready = "False"
	}
	a.marked.Store(true)
	if c.told(l.status()) {
		return nil
	}
	b.notes.warn(l.object, c.reason, c.message)
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		if c.stalled {
			s.ObservedGeneration = c.generation
		}
		c.set(s)
	})
}

// sight is an application at a head.
type sight struct {
	repo      *repo
	head      Commit
	work      Work
	started   time.Time
	vars      variables
	result    render.Result
	fault     error // why it can't be rendered
	asApplied bool  // the cluster was left as the head has it
}

// bring renders the head and decides whether there is anything to do.
func (b *Brain) bring(ctx context.Context, a *app, l *live, r *repo, head Commit, work Work) error {
	v := &sight{repo: r, head: head, work: work, started: time.Now()}
	if seen, err := b.see(ctx, a, l, v); !seen || err != nil {
		return err
	}
	s := l.status()
	// What is applied and not healthy is still to be as Git says.
	unhealthy := v.asApplied && a.wait != nil && a.wait.failed && work.any(ReasonResync, ReasonDrift)
	if a.wait != nil && !unhealthy && v.fault == nil && a.wait.run.covers(ctx, head, v.result, l, v.vars) && !work.any(ReasonAsked) {
		return b.goOn(ctx, a.wait, l, work)
	}
	if !v.asApplied || !settled(s) || work.any(looks...) {
		if owner, err := b.removedFrom(ctx, a, l, r, head); err != nil {
			return err
		} else if owner != "" {
			return b.standStill(ctx, a, l, v, owner)
		}
	}
	if !v.asApplied && b.comes(ctx, a, l, r, head) {
		return nil
	}
	if v.asApplied && (a.marked.Load() || sourceMarked(s)) {
		if err := b.unmark(ctx, a, l); err != nil {
			return err
		}
		s = l.status()
	}
	a.marked.Store(false)
	if v.asApplied && settled(s) {
		if err := b.follow(ctx, a, l, v); err != nil {
			return err
		}
		s = l.status()
	}
	if v.asApplied && (settled(s) || unhealthy) {
		if !work.any(looks...) && !work.any(ReasonProject) && len(leavingAnywhere(s)) == 0 {
			return nil
		}
		return b.lookAgain(ctx, b.newRun(ctx, a, l, v), l, v)
	}
	return b.begin(ctx, a, l, v)
}

// see renders the head of an application. What it lacks is told, and seen is false.
func (b *Brain) see(ctx context.Context, a *app, l *live, v *sight) (seen bool, err error) {
	v.vars, err = b.inputs(ctx, a, l, v.head, v.work)
	if errors.Is(err, ErrUntrusted) || errors.Is(err, ErrKeys) {
		v.vars = variables{version: l.status().Variables}
		return false, b.refuse(ctx, b.newRun(ctx, a, l, v), l, reasonUntrusted, err)
	}
	if err == nil {
		b.moved(a)
		v.result, v.fault, err = b.renderHead(ctx, a, l, v.repo, v.head, &v.vars)
	}
	switch {
	case permanentSource(err):
		return false, nil
	case err != nil:
		return false, err
	}
	s := l.status()
	sameSpec := s.ObservedGeneration == l.object.GetGeneration()
	changed, known := v.repo.changes(ctx, s.Revision, v.head.Hash())
	v.asApplied = v.fault == nil && sameSpec && known && !v.result.Touched(changed) && s.Attempted == s.Revision && s.Variables == v.vars.version
	return true, nil
}

// begin has a run bring the head in, unless it has to wait for others.
func (b *Brain) begin(ctx context.Context, a *app, l *live, v *sight) (err error) {
	if v.fault == nil { // else there is nothing to wait for
		if wait, err := b.dependencies(ctx, a, l, v.repo, v.head); wait || err != nil {
			return err
		}
	}
	n := b.newRun(ctx, a, l, v)
	if v.fault != nil {
		b.unrendered(n, v.result, v.fault)
		return b.refuse(ctx, n, l, reasonOf(v.fault), v.vars.hide(v.fault))
	}
	if n.rules, err = rule.Compile(n.spec.Health); err != nil {
		return b.refuse(ctx, n, l, reasonHealth, err)
	}
	return b.sync(ctx, n, l, v.result)
}

// lookAgain holds what is applied against the Projects, looks what became of what
// it leaves to others, and compares it with the cluster where that is asked.
func (b *Brain) lookAgain(ctx context.Context, n *run, l *live, v *sight) error {
	if err := b.prepareRender(n, v.result); err != nil {
		return err
	}
	if err := b.forbidden(n); err != nil {
		return b.refuse(ctx, n, l, reasonProject, err)
	}
	if settled(l.status()) {
		if err := b.handOver(ctx, n, l, v.work.Since); err != nil {
			return err
		}
	}
	if !v.work.any(looks...) {
		return nil
	}
	n.head, n.commit = n.commit, l.status().Revision // it is of what was applied
	return b.resync(ctx, n, l, v.work)
}

// inputs are what the head is rendered with, once it is verified. What is
// missing is told.
func (b *Brain) inputs(ctx context.Context, a *app, l *live, head Commit, work Work) (vars variables, err error) {
	if err = b.verify(ctx, a, l.application, head); err == nil {
		vars, err = b.variables(ctx, a, l.application)
	}
	if err == nil {
		_, err = b.destination(ctx, a, l.application)
	}
	if err == nil {
		err = b.relocate(ctx, a, l)
	}
	if err == nil {
		vars, err = b.outside(ctx, a, l.application, vars, work)
	}
	if _, is := missing(err); is || permanentSource(err) {
		if markErr := b.markSource(ctx, a, err); markErr != nil {
			return vars, markErr
		}
	}
	return vars, err
}

// outside adds what an application takes from beyond its repository: bases and charts.
func (b *Brain) outside(ctx context.Context, a *app, application *api.Application, vars variables, work Work) (variables, error) {
	since := chartSince(work, application.Spec.Sync.ResyncOrDefault())
	vars.bases, vars.charts = b.bases(a, application, since), kustomizeCharts{Brain: b, a: a, since: since}
	return b.chart(ctx, a, application, vars, since)
}

// newRun is a sync of the head that has not begun.
func (b *Brain) newRun(ctx context.Context, a *app, l *live, v *sight) *run {
	s, commit, generation := l.status(), v.head.Hash(), l.object.GetGeneration()
	n := &run{
		rendered: time.Now(), app: a, repo: v.repo, commit: commit, by: b.me, uid: string(l.object.GetUID()), generation: generation, started: v.started,
		spec: l.application.Spec, variables: v.vars, lastHealthy: s.Healthy, lastTried: s.Attempted, cluster: b.clusterOf(a), first: s.Revision == "", revision: b.newest(ctx, v.repo, v.head, v.result, s),
		again: s.ObservedGeneration == generation && s.Attempted == commit && len(s.History) > 0 && s.History[0].Commit == commit &&
			s.History[0].Outcome == api.OutcomeFailed && s.Attempted != s.Revision,
	}
	if !v.work.Since.IsZero() && v.work.Tries == 0 {
		n.started = v.work.Since
	}
	n.chains = b.chains(ctx, n, s, v.head, v.work)
	return n
}

// newest names the commit that is new to an application: those since then are
// about others, and no reason to run its hooks again.
func (b *Brain) newest(ctx context.Context, r *repo, head Commit, result render.Result, s *api.ApplicationStatus) string {
	changed, known := r.changes(ctx, s.Attempted, head.Hash())
	if !known || result.Touched(changed) {
		return head.Hash()
	}
	if s.Hooks != nil {
		revision, _, _ := strings.Cut(s.Hooks.Run, ".")
		return revision
	}
	return s.Attempted
}

func reasonOf(err error) string {
	if fault, ok := errors.AsType[*render.Error](err); ok {
		return string(fault.Reason)
	}
	return "RenderFailed"
}

// sourceReasons are those that [Brain.markSource] and [Brain.standStill] give, but for
// a Project's: the same is said of what was rendered.
var sourceReasons = []string{reasonRemoved, reasonSource, reasonRepository, reasonVariables, reasonDecryption, reasonKubeconfig, reasonCluster, reasonDestination, reasonCredentials, reasonKeys, reasonAccount, reasonChart, reasonBadChart, reasonBase, reasonLookup}

// sourceMarked says that the status tells of a branch that can't be fetched, or no
// longer has the application.
func sourceMarked(s *api.ApplicationStatus) bool {
	for _, kind := range []string{api.ConditionReconciling, api.ConditionStalled} {
		if c := s.Condition(kind); c != nil && slices.Contains(sourceReasons, c.Reason) {
			return true
		}
	}
	return false
}

// unmark takes that back. An application that was Ready all along is settled
// again.
func (b *Brain) unmark(ctx context.Context, a *app, l *live) error {
	if !sourceMarked(l.status()) {
		return nil
	}
	b.health.Add(a.key) // it is watched over again
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		s.RemoveCondition(api.ConditionReconciling)
		s.RemoveCondition(api.ConditionStalled)
	})
}
