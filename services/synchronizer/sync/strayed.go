package sync

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// An application is compared with a new head by what its status says. Whoever works on
// it may have taken a commit that was the head before, and not have recorded it yet; where
// the new head takes back what that one did, the status and the head are the same. Two
// things find it: strayed, of what was recorded before the head is looked at, and overtaken,
// of what is seen to be recorded afterwards.

// strayed says whether an application has to be brought to the head for what
// another replica has attempted.
func (a *app) strayed(ctx context.Context, r *repo, head Commit) bool {
	attempted := a.attempted.Load()
	return attempted != nil && r.strayed(ctx, a.key, *attempted, head)
}

// strayed says whether the head is another for an application than the commit
// attempted, as far as that isn't behind what was evaluated: the branch went back
// since, or it is new to this replica. What changed since it evaluated doesn't tell
// then: a commit and its contrary are no change.
func (r *repo) strayed(ctx context.Context, key, attempted string, head Commit) bool {
	if attempted == "" || attempted == head.Hash() || r.passed[attempted] {
		return false
	}
	if in, err := r.contains(ctx, head.Hash(), attempted); err != nil || !in {
		return true
	}
	if behind, err := r.contains(ctx, r.evaluated, attempted); err != nil || !behind {
		changed, known := r.changes(ctx, attempted, head.Hash())
		return !known || !r.index.knows(key) || r.index.touches(key, changed)
	}
	if r.passed == nil || len(r.passed) >= maxLines {
		r.passed = map[string]bool{}
	}
	r.passed[attempted] = true
	return false
}

// attentive is how long after a replica has looked at a head it looks at what is recorded
// late. Another one may do the branch's work since, and this one not know what that knows.
const attentive = time.Minute

// looksAt remembers with what applications are about to be compared.
func (r *repo) looksAt(head Commit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking, r.lookingAt = head.Hash(), time.Now()
}

// looks gives what applications were compared with last, unless that is long ago.
func (r *repo) looks() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.lookingAt) > attentive {
		return ""
	}
	return r.looking
}

// attemptedLate says whether an Application is seen to have attempted another commit
// than it was compared with.
func (a *applications) attemptedLate(entry *app, before, now *unstructured.Unstructured) bool {
	attempted := attemptedOf(now)
	if attempted == "" || attempted == attemptedOf(before) {
		return false
	}
	r := a.brain.repos.opened(entry.source)
	if r == nil {
		return false
	}
	head := r.looks()
	return head != "" && head != attempted
}

// overtaken gives the head to which an application has to be brought, since it has
// attempted one that the branch had left when this replica compared it; empty for none.
func (b *Brain) overtaken(ctx context.Context, key string) (head string) {
	a, u := b.apps.get(key), b.apps.cached(key)
	if a == nil || u == nil {
		return ""
	}
	b.apps.mu.Lock()
	source := a.source
	b.apps.mu.Unlock()
	r := b.repos.opened(source)
	if r == nil {
		return ""
	}
	head = r.looks()
	if head == "" || !r.overtakes(ctx, key, attemptedOf(u), head) {
		return ""
	}
	return head
}

// overtakes says whether a head is another for an application than a commit that it has
// attempted. One that contains the head is newer than this replica has seen.
func (r *repo) overtakes(ctx context.Context, key, attempted, head string) bool {
	if attempted == "" || attempted == head {
		return false
	}
	if newer, err := r.contains(ctx, attempted, head); err != nil || newer {
		return false
	}
	changed, known := r.changes(ctx, attempted, head)
	return known && (!r.index.knows(key) || r.index.touches(key, changed))
}

func attemptedOf(u *unstructured.Unstructured) string {
	attempted, _, _ := unstructured.NestedString(u.Object, "status", "attempted")
	return attempted
}
