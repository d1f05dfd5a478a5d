package e2e_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// waits says whether the rollback of an application waits for a person.
func (p *pullsSeen) waits(a releaseApp) bool {
	return p != nil && slices.ContainsFunc(p.open, func(o pullRequest) bool { return a.isBack(o.Head.Label) })
}

// isBack says whether an application is rolled back by a branch.
func (a releaseApp) isBack(branch string) bool {
	name := strings.TrimPrefix(pullrequest.Branch(a.id()), gitrepo.OwnBranches)
	return strings.HasPrefix(branch, rollbacks+name+"_")
}

// rollbacks begins the names of the branches by which something is taken back.
const rollbacks = gitrepo.OwnBranches + "rollback_"

func (a releaseApp) id() events.Application {
	return events.Application{Cluster: "local", Namespace: "shop", Name: a.Name}
}

// someProposal is an open request, if there is one, but for those that take something back:
// that one was closed is only seen after a while.
func (r *releaseWorld) someProposal() (p pullRequest, there bool) {
	r.t.Helper()
	p, there = r.somePull()
	back := slices.ContainsFunc(r.repo.Apps, func(a releaseApp) bool { return a.isBack(p.Head.Label) })
	return p, there && !back
}

// asksBack asks for the rollback of an application of which that is a request, after a move
// of the automator if there is one.
func (r *releaseWorld) asksBack() {
	r.t.Helper()
	var all, moved []*releaseApp
	for i := range r.repo.Apps {
		a := &r.repo.Apps[i]
		if !a.BackAsked {
			continue
		}
		all = append(all, a)
		if slices.ContainsFunc(a.slots(), func(s slot) bool { return r.wrote[s] == r.refs[s] && len(r.former[s]) > 0 }) {
			moved = append(moved, a)
		}
	}
	if len(moved) > 0 {
		all = moved
	}
	if len(all) > 0 {
		r.rollBack(anyOf(r.rng, all))
	}
}

// backFaults say what is wrong with the requests that take something back, which are wanted.
func (r *releaseWorld) backFaults(open []pullRequest, wanted map[string]bool) (all []string, err error) {
	for _, p := range open { // that of an application which is gone stays for people to close
		wanted[p.Head.Label] = wanted[p.Head.Label] || strings.HasPrefix(p.Head.Label, rollbacks)
	}
	for _, a := range r.repo.Apps {
		found := 0
		for _, p := range open {
			if !a.isBack(p.Head.Label) {
				continue
			}
			found++
			fault, err := r.backFault(a, p)
			if err != nil {
				return nil, err
			}
			if found > 1 {
				fault = "there is another one"
			}
			if fault != "" && r.pulls.theirs[p.Head.Label] == "" {
				all = append(all, p.Head.Label+": "+fault)
			}
		}
	}
	return all, nil
}

// backFault says what is wrong with a request by which an application is rolled back: it
// takes back some of its references, and nothing else, and holds what they are.
func (r *releaseWorld) backFault(a releaseApp, p pullRequest) (fault string, err error) {
	got, holds, fault, err := r.ifMerged(p.Head.SHA)
	if fault != "" || err != nil {
		return fault, err
	}
	back := 0
	for s, is := range got {
		switch {
		case is == r.refs[s]:
		case !slices.Contains(a.slots(), s):
			return fmt.Sprintf("it has %v at %v, which is another one's", s, is), nil
		default:
			back++
		}
	}
	if back == 0 {
		return "it takes nothing back", nil
	}
	if file := api.HoldFile(a.id().String()); !slices.Equal(holds, []string{file}) {
		return fmt.Sprintf("it changes the holds %v, not %s", holds, file), nil
	}
	return "", nil
}
