package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
)

// TestRandomPullRequests is TestRandomReleases at a Gitea, where most rules ask for pull
// requests. People merge them in every way, close them, delete their branches, and push to
// them. At rest, what waits for a merge is in one open request, which merges without a
// conflict to what the rules want and to nothing else; no other request is open, and no
// branch is left. What people pushed to a branch is there until it is merged or deleted.
func TestRandomPullRequests(t *testing.T) {
	t.Parallel()
	const foundFaults = 1
	rng, end := search(t, foundFaults)
	r := newReleaseWorld(t, rng, &pullsSeen{said: map[string]map[string]bool{}, theirs: map[string]string{}})
	r.lives(end)
	r.mergesWereTold()
}

// pullsSeen is what is known of the pull requests of a world.
type pullsSeen struct {
	said    map[string]map[string]bool // by branch: what people said no to
	theirs  map[string]string          // by branch: what people have pushed to it
	merging map[string]bool            // owners, into whose folders a person is merging something
	open    []pullRequest              // as they were seen last
	merged  []mergedRef
}

type mergedRef struct {
	slot
	ref
}

// merges says whether a person is merging something into an owner's folder.
func (p *pullsSeen) merges(owner string) bool { return p != nil && p.merging[owner] }

// moved notes what came by a merge.
func (p *pullsSeen) moved(s slot, to ref) {
	if p.merges(s.owner) {
		p.merged = append(p.merged, mergedRef{s, to})
	}
}

var giteaIsAway = fault{"the Gitea is away", []string{"Git"}, func(c *chaos, rng *rand.Rand) {
	time.Sleep(millis(rng, 500))
	away := millis(rng, 1500)
	c.say("  the Gitea is away for %s", away.Round(time.Millisecond))
	if err := c.w.Gitea.Restart(c.t.Context(), away); err != nil {
		c.t.Errorf("start Gitea again: %v", err)
	}
}}

var pullActs = []func(*releaseWorld){
	(*releaseWorld).mergesPull, (*releaseWorld).mergesPull, (*releaseWorld).mergesPull, (*releaseWorld).mergesPull,
	(*releaseWorld).mergesPull, (*releaseWorld).mergesPull, (*releaseWorld).mergesPull, (*releaseWorld).mergesPull,
	(*releaseWorld).closesPull, (*releaseWorld).deletesBranch, (*releaseWorld).pushesToBranch, (*releaseWorld).updatesBranch,
	(*releaseWorld).asksBack, (*releaseWorld).asksBack,
}

// pullRequest is what Gitea says of one.
type pullRequest struct {
	Number int64
	State  string
	Merged bool
	Head   struct{ Label, SHA string }
}

// pullGroup are the applications of one pull request.
type pullGroup struct {
	branch string
	apps   []releaseApp
}

// groups are those whose images come by pull requests.
func (r *releaseWorld) groups() (all []pullGroup) {
	for _, a := range r.repo.Apps {
		branch := ""
		switch a.Mode {
		case "pullRequest":
			branch = pullrequest.Branch(a.id())
		case "batch":
			branch = pullrequest.BatchBranch(batchPolicy(a.Images[0]) + "[0]")
		default:
			continue
		}
		if i := slices.IndexFunc(all, func(g pullGroup) bool { return g.branch == branch }); i >= 0 {
			all[i].apps = append(all[i].apps, a)
			continue
		}
		all = append(all, pullGroup{branch, []releaseApp{a}})
	}
	return all
}

// api calls Gitea's API of the config repo.
func (r *releaseWorld) api(method, path string, in, out any) error {
	return r.w.Gitea.API(r.t.Context(), method, "/repos/"+r.w.Gitea.User+"/"+local.Repo+path, in, out)
}

// openPulls are the pull requests that are open.
func (r *releaseWorld) openPulls() (all []pullRequest, err error) {
	if err = r.api(http.MethodGet, "/pulls?state=open&limit=50", nil, &all); err == nil {
		r.pulls.open = all
	}
	return all, err
}

// somePull is an open request, if there is one.
func (r *releaseWorld) somePull() (p pullRequest, there bool) {
	r.t.Helper()
	var all []pullRequest
	must(r.t, parts.Eventually(r.t.Context(), patience, func() (err error) {
		all, err = r.openPulls()
		return err
	}))
	if len(all) == 0 {
		return p, false
	}
	slices.SortFunc(all, func(a, b pullRequest) int { return int(a.Number - b.Number) })
	return anyOf(r.rng, all), true
}

// pullFaults say what is wrong with the pull requests.
func (r *releaseWorld) pullFaults(held []api.HoldSpec) (all []string, err error) {
	open := r.pulls.open
	if _, err := r.maria.Git(r.t.Context(), "fetch", "-q", "--prune", "origin", "+refs/heads/slipway/*:refs/remotes/origin/slipway/*"); err != nil {
		return nil, err
	}
	out, err := r.maria.Git(r.t.Context(), "for-each-ref", "--format=%(refname:strip=3)", "refs/remotes/origin/slipway")
	if err != nil {
		return nil, err
	}
	branches, wanted := strings.Fields(out), map[string]bool{}
	for _, g := range r.groups() {
		fault, wants, err := r.pullFault(g, held, open)
		if err != nil {
			return nil, err
		}
		wanted[g.branch] = wants || r.repo.Broken
		if fault != "" && r.pulls.theirs[g.branch] == "" { // else it waits for people
			all = append(all, g.branch+": "+fault)
		}
	}
	back, err := r.backFaults(open, wanted)
	if err != nil {
		return nil, err
	}
	all = append(all, back...)
	for _, branch := range slices.Sorted(maps.Keys(r.pulls.theirs)) {
		if _, err := r.maria.Git(r.t.Context(), "merge-base", "--is-ancestor", r.pulls.theirs[branch], "refs/remotes/origin/"+branch); err != nil {
			all = append(all, fmt.Sprintf("what a person pushed to %s, %.12s, is not there: %v", branch, r.pulls.theirs[branch], err))
		}
	}
	for _, p := range open {
		if !wanted[p.Head.Label] {
			all = append(all, fmt.Sprintf("request %d of %s is open, which nobody wants", p.Number, p.Head.Label))
		}
	}
	for _, b := range branches {
		if !wanted[b] && r.pulls.theirs[b] == "" {
			all = append(all, "the branch "+b+" is left")
		}
	}
	return all, nil
}

// pullFault says what is wrong with a request, and whether there is to be one.
func (r *releaseWorld) pullFault(g pullGroup, held []api.HoldSpec, open []pullRequest) (fault string, wants bool, err error) {
	want, bare, ends := map[slot]ref{}, map[slot]bool{}, []string(nil)
	for _, a := range g.apps {
		for _, s := range a.slots() {
			best, digest := r.best(a, s, held)
			if best == "" || r.stays(a.owner()) != "" {
				continue
			}
			want[s], bare[s] = ref{best, digest}, a.works().TagOnly
			end := digest
			if bare[s] {
				end = best
			}
			ends = append(ends, "local/shop/"+a.Name+" "+r.w.Registry.Addr+"/"+s.image+"@"+end)
		}
	}
	if len(want) == 0 {
		return "", false, nil
	}
	i := slices.IndexFunc(open, func(p pullRequest) bool { return p.Head.Label == g.branch })
	if i >= 0 {
		fault, err = r.mergesTo(open[i].Head.SHA, want, bare)
		return fault, true, err
	}
	slices.Sort(ends)
	if r.pulls.said[g.branch][strings.Join(ends, "\n")] {
		return "", true, nil
	}
	return fmt.Sprintf("there is no request for %v", want), true, nil
}

// ifMerged are the references in the files that would change if a commit was merged into the
// branch, and which holds would.
func (r *releaseWorld) ifMerged(head string) (got map[slot]ref, holds []string, fault string, err error) {
	tree, err := r.maria.Git(r.t.Context(), "merge-tree", "--write-tree", "HEAD", head)
	if err != nil {
		return nil, nil, fmt.Sprintf("its request doesn't merge: %v", err), nil
	}
	changed, err := r.maria.Git(r.t.Context(), "diff", "--name-only", "HEAD", tree)
	if err != nil {
		return nil, nil, "", err
	}
	got, templates := map[slot]ref{}, r.templates()
	for path := range strings.FieldsSeq(changed) {
		text, err := r.maria.Git(r.t.Context(), "show", tree+":"+path)
		if err != nil {
			return nil, nil, "", err
		}
		if strings.HasPrefix(path, notesPath) {
			continue
		}
		if strings.HasPrefix(path, api.HoldsPath) {
			holds = append(holds, path)
			continue
		}
		if err := readRefs(templates[path], text+"\n", got); err != nil {
			return nil, nil, fmt.Sprintf("its request changes %s: %v", path, err), nil
		}
	}
	return got, holds, "", nil
}

// mergesTo says what would be wrong with the branch if a commit was merged into it; bare are
// the places that have no digest.
func (r *releaseWorld) mergesTo(head string, want map[slot]ref, bare map[slot]bool) (fault string, err error) {
	got, holds, fault, err := r.ifMerged(head)
	if fault != "" || err != nil {
		return fault, err
	}
	if len(holds) > 0 {
		return fmt.Sprintf("its request changes the holds %v", holds), nil
	}
	for s, to := range want {
		if is := got[s]; is.tag != to.tag || is.digest != to.digest && !bare[s] {
			return fmt.Sprintf("its request has %s at %s@%.14s, want %s@%.14s", s.image, is.tag, is.digest, to.tag, to.digest), nil
		}
	}
	for s, is := range got {
		if _, moves := want[s]; !moves && is != r.refs[s] {
			return fmt.Sprintf("its request has %v at %v, which stays at %v", s, is, r.refs[s]), nil
		}
	}
	return "", nil
}

// mergesWereTold holds that what people merged was told, however they did.
func (r *releaseWorld) mergesWereTold() {
	r.t.Helper()
	told := map[string]bool{}
	for _, s := range r.events() {
		if p, is := s.Event.Payload.(events.ChangeMerged); is {
			told[p.Application+" "+p.Image+":"+p.To] = true
		}
	}
	for _, m := range r.pulls.merged {
		image := r.w.Registry.Addr + "/" + m.image + ":" + strings.TrimSuffix(m.tag+"@"+m.digest, "@")
		if !told["local/shop/"+m.owner+" "+image] {
			r.t.Errorf("%s of %s was merged, and told to nobody", image, m.owner)
		}
	}
	r.say("%d references were merged by people", len(r.pulls.merged))
}
