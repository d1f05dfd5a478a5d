package e2e_test

import (
	"slices"
	"testing"
	"time"
)

// TestRandomRepos changes a random valid config repo at random while
// synchronizers, bus and receiver are killed and stopped, the API server is out,
// webhooks come late, twice and in disorder, and people change the cluster by
// hand; whenever all is quiet the cluster equals the render of the branch's head,
// and nothing was lost, made anew, run twice or taken from others on the way.
// SLIPWAY_FAULTS_DURATION says for how long, SLIPWAY_FAULTS_SEED repeats a schedule.
// Without them it is a short one that has found faults: the search for more is for who
// gives it time, as fuzzing is.
func TestRandomRepos(t *testing.T) {
	t.Parallel()
	const foundFaults = 1795713896894851636
	rng, end := search(t, foundFaults)
	r := newRandomWorld(t, rng, newRandomRepo(rng))
	r.becomes()
	r.putForeign()
	rounds := r.rounds(end, r.round)
	if t.Failed() {
		return
	}
	r.commit("the last one")
	r.becomes()
	r.nothingElse()
	r.say("%d rounds, %d commits, kills: %v", rounds, len(r.past), r.kills)
}

// round disturbs, changes and waits until all is as it should be.
func (r *randomWorld) round() {
	r.t.Helper()
	wait := r.disturbed()
	for range 1 + r.rng.IntN(4) {
		switch r.rng.IntN(14) {
		case 0:
			r.goBack()
		case 1:
			r.breaks()
		case 2:
			r.breaksRoot()
		case 3:
			r.sickens()
		default:
			r.changes()
		}
		if r.rng.IntN(2) == 0 {
			r.changeByHand()
		}
		time.Sleep(millis(r.rng, 500)) // until the next one comes
	}
	wait()
	r.becomes()
}

// changes commits a few random changes.
func (r *randomWorld) changes() {
	r.t.Helper()
	message := r.repo.mutate(r.rng)
	for range r.rng.IntN(3) {
		message += "; " + r.repo.mutate(r.rng)
	}
	r.commit(message)
}

// breaks has an application be invalid for a while, or until the next commit.
func (r *randomWorld) breaks() {
	r.t.Helper()
	r.forAWhile("break", func(a *randomApp, on bool) { a.Broken = on })
}

// sickens has an application never become healthy for a while, or until the next
// commit.
func (r *randomWorld) sickens() {
	r.t.Helper()
	r.forAWhile("sicken", func(a *randomApp, on bool) { a.Runs, a.Sick = true, on })
}

func (r *randomWorld) forAWhile(what string, ails func(a *randomApp, on bool)) {
	r.t.Helper()
	at := r.rng.IntN(len(r.repo.Apps))
	id, name := r.repo.Apps[at].ID, r.repo.Apps[at].Name // what comes with it may take the application away
	ails(&r.repo.Apps[at], true)
	r.commit(what + " " + name + r.andMore())
	if r.rng.IntN(2) == 0 {
		r.becomes()
	} else {
		time.Sleep(millis(r.rng, 1000))
	}
	if at = slices.IndexFunc(r.repo.Apps, func(a randomApp) bool { return a.ID == id }); at >= 0 {
		a := &r.repo.Apps[at]
		ails(a, false)
		r.commit("mend " + a.Name + r.andMore())
	}
}

// andMore changes something else in the same commit, or not.
func (r *randomWorld) andMore() string {
	if r.rng.IntN(2) == 0 {
		return ""
	}
	return "; " + r.repo.mutate(r.rng)
}

// breaksRoot has nobody know which applications there are, which changes nothing.
func (r *randomWorld) breaksRoot() {
	r.t.Helper()
	r.repo.Broken = true
	r.commit("break the root")
	time.Sleep(millis(r.rng, 1000))
	r.repo.Broken = false
	r.commit("mend the root; " + r.repo.mutate(r.rng))
}
