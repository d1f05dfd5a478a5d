package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// mergesPull merges a request in one of the ways, unless the host can't.
func (r *releaseWorld) mergesPull() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.head))
	p, there := r.somePull()
	groups := r.groups()
	for _, a := range r.repo.Apps {
		if a.isBack(p.Head.Label) {
			groups = append(groups, pullGroup{p.Head.Label, []releaseApp{a}})
		}
	}
	i := slices.IndexFunc(groups, func(g pullGroup) bool { return g.branch == p.Head.Label })
	if !there || i < 0 {
		return
	}
	r.pulls.merging = map[string]bool{}
	for _, a := range groups[i].apps {
		r.pulls.merging[a.owner()] = true
	}
	way := anyOf(r.rng, []string{"merge", "rebase", "rebase-merge", "squash"})
	err := parts.EventuallyEvery(r.t.Context(), 100*time.Millisecond, 3*time.Second, func() error {
		return r.api(http.MethodPost, fmt.Sprintf("/pulls/%d/merge", p.Number), map[string]any{"Do": way}, nil)
	})
	before := len(r.pulls.merged)
	must(r.t, parts.Eventually(r.t.Context(), patience, r.head))
	r.pulls.merging = nil
	what := fmt.Sprint(r.pulls.merged[before:])
	if len(r.pulls.merged) > before {
		delete(r.pulls.theirs, p.Head.Label)
	}
	if err != nil {
		what += ": " + err.Error()
	}
	for _, m := range r.pulls.merged[before:] {
		if way == "squash" { // its commit says nothing of who made it
			delete(r.wrote, m.slot)
		}
	}
	r.say("  merged %d of %s (%s): %.300s", p.Number, p.Head.Label, way, what)
}

// closesPull closes a request.
func (r *releaseWorld) closesPull() {
	r.t.Helper()
	if p, there := r.someProposal(); there {
		r.saysNo(p, func() error {
			return r.api(http.MethodPatch, fmt.Sprintf("/pulls/%d", p.Number), map[string]any{"state": "closed"}, nil)
		})
	}
}

// deletesBranch takes a request's branch away, whereupon the host closes it, or one that
// people have pushed to.
func (r *releaseWorld) deletesBranch() {
	r.t.Helper()
	p, there := r.someProposal()
	for _, branch := range slices.Sorted(maps.Keys(r.pulls.theirs)) {
		if r.rng.IntN(2) == 0 || !there {
			delete(r.pulls.theirs, branch)
			err := parts.Eventually(r.t.Context(), time.Second, func() error { return r.api(http.MethodDelete, "/branches/"+branch, nil, nil) })
			r.say("  deleted what people had in %s: %v", branch, err)
			return
		}
	}
	if there && r.pulls.theirs[p.Head.Label] == "" {
		r.saysNo(p, func() error { return r.api(http.MethodDelete, "/branches/"+p.Head.Label, nil, nil) })
	}
}

// pushesToBranch has a person add to a request.
func (r *releaseWorld) pushesToBranch() {
	r.t.Helper()
	p, there := r.somePull()
	if !there {
		return
	}
	r.repo.Next++
	name := fmt.Sprintf("%s%d.md", notesPath, r.repo.Next)
	file := map[string]any{"branch": p.Head.Label, "message": "a person's part of it", "content": "bm90ZQo=", "author": map[string]string{"name": "Maria", "email": "maria@example.com"}}
	var made struct{ Commit struct{ SHA string } }
	err := r.api(http.MethodPost, "/contents/"+name, file, &made) // it may be gone by now
	if err == nil {
		r.pulls.theirs[p.Head.Label] = made.Commit.SHA
	}
	r.say("  pushed to the branch of %s: %v", p.Head.Label, err)
}

// updatesBranch brings what the base has into a request's branch, as a button of the host does.
func (r *releaseWorld) updatesBranch() {
	r.t.Helper()
	if p, there := r.somePull(); there && r.pulls.theirs[p.Head.Label] == "" {
		style := anyOf(r.rng, []string{"merge", "rebase"})
		err := r.api(http.MethodPost, fmt.Sprintf("/pulls/%d/update?style=%s", p.Number, style), nil, nil) // it may be up to date
		r.say("  brought %s up to date (%s): %v", p.Head.Label, style, err)
	}
}

const notesPath = "notes/" // of the files that people push to branches

// saysNo notes what a request holds before and after it is closed.
func (r *releaseWorld) saysNo(p pullRequest, no func() error) {
	r.t.Helper()
	if r.pulls.said[p.Head.Label] == nil {
		r.pulls.said[p.Head.Label] = map[string]bool{}
	}
	note := func() error {
		ref := fmt.Sprintf("refs/pull/%d/head", p.Number)
		if _, err := r.maria.Git(r.t.Context(), "fetch", "-q", "origin", ref); err != nil {
			return err
		}
		message, err := r.maria.Git(r.t.Context(), "log", "-1", "--first-parent", "--no-merges", "--format=%B", "FETCH_HEAD")
		if err != nil {
			return err
		}
		what := commit{message: message}.ends()
		slices.Sort(what)
		r.pulls.said[p.Head.Label][strings.Join(what, "\n")] = true
		return nil
	}
	must(r.t, parts.Eventually(r.t.Context(), patience, note))
	err := parts.Eventually(r.t.Context(), time.Second, no) // it may be closed by now
	must(r.t, parts.Eventually(r.t.Context(), patience, note))
	r.say("  said no to %d of %s: %v", p.Number, p.Head.Label, err)
}
