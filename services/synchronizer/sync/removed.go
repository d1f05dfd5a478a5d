package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

// An Application that Git no longer has is there until its owner deletes it, which
// waits until all that stays is healthy. Until then it stands still: what lies at its
// path by now may be another's, with hooks that run for that one; and what becomes of
// what it has is for its deletion to say.

const reasonRemoved = "RemovedFromGit"

// removedFrom is the application that is to delete one, since Git no longer has it
// there, nor for sure elsewhere; empty where that isn't so, or can't be known. Most
// often what is known already is enough: that Git has it.
func (b *Brain) removedFrom(ctx context.Context, a *app, l *live, r *repo, head Commit) (string, error) {
	q, key := b.askOwner(a, l, r, head)
	if q == nil {
		return "", nil
	}
	if w := q.knows(ctx, key); w != nil && (w.failed || w.has(b.itself(a.name.Namespace, a.name.Name))) {
		b.apps.expectFrom(a.key)
		return "", nil
	}
	// It is noted before it is looked: what happens in between wakes it.
	b.apps.expectFrom(a.key, key)
	removed, err := b.removes(ctx, q, a)
	if err != nil || !removed {
		b.apps.expectFrom(a.key)
		return "", err
	}
	return key, nil
}

// askOwner is to ask the application that has another one among its objects, by a head
// of that one's branch; nil where there is none.
func (b *Brain) askOwner(a *app, l *live, r *repo, head Commit) (q *asking, key string) {
	key = b.ownerOf(l.object)
	of := b.apps.get(key)
	if of == nil || of == a {
		return nil, ""
	}
	q = b.ask(&run{app: of, cluster: b.own})
	q.heads[r] = head
	if w := b.apps.wanted.get(key); w != nil {
		q.asOfNow(w.repo)
	}
	return q, key
}

// itself is an application as an object of another one.
func (b *Brain) itself(namespace, name string) identity {
	return identity{b.own.name, api.Group, api.ApplicationKind, namespace, name}
}

// asOfNow has a branch asked as it is known to be.
func (b *asking) asOfNow(key string) {
	r := b.repos.opened(key)
	if r == nil || b.heads[r] != nil {
		return
	}
	if head := r.headSince(time.Time{}); head != nil {
		b.heads[r] = head
	}
}

// removes says whether the application that is asked about is to delete another one.
// What looks so is asked of a head that isn't older than what that one has tried.
func (b *Brain) removes(ctx context.Context, q *asking, a *app) (bool, error) {
	of := q.n.app
	u := b.apps.cached(of.key)
	if u == nil || u.GetDeletionTimestamp() != nil {
		return false, nil
	}
	owner, err := decode(u)
	if err != nil {
		return false, err
	}
	s := owner.Status
	if _, suspended := owner.Metadata.Suspension(); suspended || !owner.Spec.Sync.Prunes() || s == nil {
		return false, nil // it stays
	}
	itself := b.itself(a.name.Namespace, a.name.Name)
	at := slices.IndexFunc(s.Inventory, func(e api.InventoryEntry) bool { return identityOf(b.own.name, e) == itself })
	if at < 0 {
		return false, nil
	}
	from, err := b.repos.place(owner.Metadata.Namespace, owner.Spec.Source)
	if err != nil {
		return false, nil //nolint:nilerr // its own worker says so
	}
	of.asked.Lock() // who renders it, renders it for all that ask
	defer of.asked.Unlock()
	q.asOfNow(from.key())
	if q.mayHave(ctx, owner, u.GetGeneration(), itself) {
		return false, nil
	}
	r := b.repos.opened(from.key())
	if r == nil {
		return false, nil
	}
	head, err := r.have(ctx, nil, time.Time{})
	if err == nil {
		head, err = r.asNewAs(ctx, head, s.Attempted, of.saw(s.Attempted))
	}
	if err != nil {
		return false, nil //nolint:nilerr // as long as that isn't known, it goes on
	}
	now := b.ask(&run{app: of, cluster: b.own, repo: r, commit: head.Hash(), lastHealthy: s.Healthy, lastTried: s.Attempted})
	now.heads[r] = head
	if now.mayHave(ctx, owner, u.GetGeneration(), itself) {
		return false, nil
	}
	claim, err := now.claimed(ctx, s.Inventory[at])
	return !claim.Sure, err
}

// mayHave says whether Git has an object in an application, or that can't be known.
func (b *asking) mayHave(ctx context.Context, application *api.Application, generation int64, object identity) bool {
	key := b.n.app.key
	if w := b.knows(ctx, key); w != nil {
		return w.failed || w.has(object)
	}
	objects, _ := b.render(ctx, key, &answer{application: application, generation: generation})
	return objects == nil || objects[object] != nil
}

// standStill says in the status of an application that Git no longer has it, and ends
// what was waited for. What became of what it left to others before is looked after.
func (b *Brain) standStill(ctx context.Context, a *app, l *live, v *sight, owner string) error {
	n := b.newRun(ctx, a, l, v)
	b.supersede(ctx, n)
	b.leave(a)
	if v.asApplied && len(leavingAnywhere(l.status())) > 0 {
		if err := b.prepareRender(n, v.result); err != nil {
			return err
		}
		if err := b.handOver(ctx, n, l, v.work.Since); err != nil {
			return err
		}
	}
	c := conditions{
		reconciling: true, reason: reasonRemoved, generation: l.object.GetGeneration(), now: time.Now(),
		message: fmt.Sprintf("Git no longer has this Application: nothing of it is changed until %s/%s deletes it, which it does when all that it keeps is healthy", b.cfg.Cluster, owner),
	}
	if l.status().Healthy == "" {
		c.ready = "False" // what runs stays Ready
	}
	if c.told(l.status()) {
		return nil
	}
	b.log.Info("stands still, since Git no longer has it", "application", a.name.String(), "owner", owner)
	b.notes.say(l.object, reasonRemoved, c.message)
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) { c.set(s) })
}

// expectFrom notes from which application one expects to be deleted: whatever
// becomes of that one may have it go on.
func (a *applications) expectFrom(key string, owner ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.removed.set(key, owner)
}

// expects says whether an application expects to be deleted.
func (a *applications) expects(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.removed.on[key]) > 0
}

// wakeRemoved has those look again that expect to be deleted by an application.
func (a *applications) wakeRemoved(owner string) {
	a.wakeLinked(a.removed, owner, ReasonDependency)
}
