package sync

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

const (
	reasonDependency = "DependencyNotReady"
	reasonCycle      = "DependencyCycle"
)

// dependencies says whether an application has to wait for others; it is woken
// when one of them gets on. Nothing is held while it waits.
func (b *Brain) dependencies(ctx context.Context, a *app, l *live, r *repo, head Commit) (wait bool, err error) {
	if len(l.application.Spec.DependsOn) == 0 {
		b.apps.depend(a.key, nil)
		return false, nil
	}
	var all []string
	for _, d := range l.application.Spec.DependsOn {
		all = append(all, a.name.Namespace+"/"+d.Name)
	}
	// It is noted before it is looked: what happens in between wakes it.
	b.apps.depend(a.key, all)
	c := conditions{reconciling: true, reason: reasonDependency, generation: l.object.GetGeneration(), now: time.Now()}
	if cycle := b.cycle(a.key, all); cycle != "" {
		c.reconciling, c.stalled, c.reason, c.message = false, true, reasonCycle, cycle
	} else {
		for _, key := range all {
			if c.message, err = b.lacks(ctx, key, r, head); c.message != "" || err != nil {
				break
			}
		}
	}
	if err != nil {
		return false, err
	}
	if c.message == "" {
		b.apps.depend(a.key, nil)
		return false, nil
	}
	if s := l.status(); s.Healthy == "" {
		c.ready = "False" // what runs stays Ready
	}
	if c.told(l.status()) {
		return true, nil
	}
	b.log.Info("waits for another application", "application", a.name.String(), "why", c.message)
	return true, b.write(ctx, a, l, func(s *api.ApplicationStatus) { c.set(s) })
}

// lacks says what another application lacks; empty for nothing. With the same
// source it must have what the commit has for it.
func (b *Brain) lacks(ctx context.Context, key string, r *repo, head Commit) (string, error) {
	u := b.apps.cached(key)
	if u == nil {
		return fmt.Sprintf("waits for the Application %s, which is not there", key), nil
	}
	other, err := decode(u)
	if err != nil {
		return "", err
	}
	s := other.Status
	if c := s.Condition(api.ConditionReconciling); c != nil && c.Reason == reasonRemoved {
		return fmt.Sprintf("waits for the Application %s, which Git no longer has: take it out of spec.dependsOn", key), nil
	}
	if s == nil || !settled(s) || s.Degraded != nil || s.ObservedGeneration != u.GetGeneration() {
		return fmt.Sprintf("waits for the Application %s, which is not ready", key), nil
	}
	from, err := b.repos.place(u.GetNamespace(), other.Spec.Source)
	if err != nil || from.key() != r.key() {
		return "", nil //nolint:nilerr // of another source: it is ready, and that is all that is asked
	}
	if s.Revision == head.Hash() {
		return "", nil
	}
	if head, err = r.asNewAs(ctx, head, s.Revision); err != nil {
		return "", err
	}
	changed, known := r.changes(ctx, s.Revision, head.Hash())
	if known && !r.index.knows(key) {
		b.learn(ctx, other, r, head)
	}
	if !known || !r.index.knows(key) || r.index.touches(key, changed) {
		return fmt.Sprintf("waits for the Application %s to have commit %.12s", key, head.Hash()), nil
	}
	return "", nil
}

// learn finds out what another application is rendered from, which this replica
// may never have rendered. One that can't be rendered says so itself, and wakes
// those that wait for it when it can again.
func (b *Brain) learn(ctx context.Context, other *api.Application, r *repo, head Commit) {
	a := b.apps.get(other.Metadata.Namespace + "/" + other.Metadata.Name)
	if a == nil {
		return
	}
	vars, err := b.variables(ctx, a, other)
	if err != nil {
		return
	}
	result, err := render.Render(ctx, vars.request(head, other))
	if err == nil {
		r.index.set(a.key, result.Inputs)
	}
}

// cycle says how an application depends on itself; empty where it doesn't.
func (b *Brain) cycle(key string, on []string) string {
	way := []string{key}
	seen := map[string]bool{}
	var find func(on []string) bool
	find = func(on []string) bool {
		for _, next := range on {
			if next == key {
				return true
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			way = append(way, next)
			if find(b.dependsOn(next)) {
				return true
			}
			way = way[:len(way)-1]
		}
		return false
	}
	if !find(on) {
		return ""
	}
	return fmt.Sprintf("it depends on itself: %v, and so on", append(way, key))
}

func (b *Brain) dependsOn(key string) []string {
	u := b.apps.cached(key)
	if u == nil {
		return nil
	}
	other, err := decode(u)
	if err != nil {
		return nil
	}
	var all []string
	for _, d := range other.Spec.DependsOn {
		all = append(all, u.GetNamespace()+"/"+d.Name)
	}
	return all
}

// depend notes for which applications one waits.
func (a *applications) depend(key string, on []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits.set(key, on)
}

// gotOn wakes those that wait for an application, or leave something to it.
func (a *applications) gotOn(key string) {
	a.wakeLinked(a.waits, key, ReasonDependency)
	a.wakeGivers(key)
}

// dependentsOf are the applications that wait for one.
func (a *applications) dependentsOf(key string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits.back(key)
}
