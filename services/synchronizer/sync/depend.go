package sync

import (
	"context"
	"fmt"
	"slices"
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
	on := l.application.Spec.DependsOn
	if len(on) == 0 {
		b.apps.depend(a.key, nil)
		return false, nil
	}
	c := conditions{generation: l.object.GetGeneration(), now: time.Now()}
	if c.reason, c.message, err = b.waitsFor(ctx, a, on, r, head); err != nil {
		return false, err
	}
	if c.message == "" {
		b.apps.depend(a.key, nil)
		return false, nil
	}
	c.reconciling = c.reason == reasonDependency
	c.stalled = !c.reconciling
	if s := l.status(); s.Healthy == "" {
		c.ready = "False" // what runs stays Ready
	}
	if c.told(l.status()) {
		return true, nil
	}
	b.log.Info("waits for another application", "application", a.name.String(), "why", c.message)
	return true, b.write(ctx, a, l, func(s *api.ApplicationStatus) { c.set(s) })
}

// waitsFor says for what an application has to wait, or why it would for ever.
func (b *Brain) waitsFor(ctx context.Context, a *app, on []api.Dependency, r *repo, head Commit) (reason, message string, err error) {
	if err := b.mayWaitFor(a.name.Namespace, on); err != nil {
		b.apps.depend(a.key, nil) // the Project that allows it wakes it
		return reasonProject, err.Error(), nil
	}
	keys := keysOf(on, a.name.Namespace)
	// It is noted before it is looked: what happens in between wakes it.
	b.apps.depend(a.key, keys)
	if cycle := b.cycle(a.key, keys); cycle != "" {
		return reasonCycle, cycle, nil
	}
	for _, key := range keys {
		if message, err = b.lacks(ctx, key, r, head); message != "" || err != nil {
			break
		}
	}
	return reasonDependency, message, err
}

func keysOf(on []api.Dependency, own string) []string {
	keys := make([]string, len(on))
	for i, d := range on {
		keys[i] = d.Key(own)
	}
	return keys
}

// mayWaitFor says why Applications of a namespace may not wait for one of those
// named. How another one is doing is for its own namespace to know, for those that
// a Project puts with it, and for trusted ones.
func (b *Brain) mayWaitFor(namespace string, on []api.Dependency) error {
	for i, d := range on {
		if d.Namespace == "" || d.Namespace == namespace {
			continue
		}
		governing := b.projects.governing(namespace)
		with := func(p *project) bool { return p.fault == nil && p.Governs(d.Namespace) }
		if slices.ContainsFunc(governing, with) || len(governing) == 0 && slices.Contains(b.cfg.Trusted, namespace) {
			continue
		}
		why := fmt.Sprintf("namespace %s is not trusted, and has no Project", namespace)
		if len(governing) > 0 {
			why = fmt.Sprintf("%s of namespace %s doesn't govern %s", projectNames(governing), namespace, d.Namespace)
		}
		return fmt.Errorf("spec.dependsOn[%d] is in another namespace, and %s: have one Project govern both (spec.namespaces), or take it out", i, why)
	}
	return nil
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
	if a := b.apps.get(key); a != nil {
		if head, err = r.asNewAs(ctx, head, s.Attempted, a.saw(s.Attempted)); err != nil {
			return "", err
		}
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
	return keysOf(other.Spec.DependsOn, u.GetNamespace())
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
