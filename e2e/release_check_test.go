package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// settles waits until the branch's head has what every rule wants, and what waits for
// people is asked of them.
func (r *releaseWorld) settles() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.running))
	pause := 10 * time.Millisecond
	if r.pulls != nil {
		pause = 200 * time.Millisecond // it is asked for much
	}
	err := parts.EventuallyEvery(r.t.Context(), pause, patience, func() error {
		if err := errors.Join(r.consumersIdle(), r.head()); err != nil {
			return err
		}
		held, err := r.held()
		if err != nil {
			return err
		}
		open, err := r.proposals()
		if err == nil && r.pulls != nil {
			_, err = r.openPulls()
		}
		if err != nil {
			return err
		}
		var faults []string
		for _, a := range r.repo.Apps {
			for _, s := range a.slots() {
				if fault := r.fault(a, s, held, open); fault != "" {
					faults = append(faults, a.Name+": "+fault)
				}
			}
		}
		if r.pulls != nil {
			wrong, err := r.pullFaults(held)
			if err != nil {
				return err
			}
			faults = append(faults, wrong...)
		}
		return faultsOf(faults)
	})
	if err != nil {
		r.t.Fatalf("the branch is not as its rules want it: %v", err)
	}
	r.backAgain()
	r.say("  is as wanted: %d applications", len(r.repo.Apps))
}

// fault says what is wrong with a reference; empty for nothing.
func (r *releaseWorld) fault(a releaseApp, s slot, held []api.HoldSpec, open []proposal) string {
	now := r.refs[s]
	if digests := r.tags[s.image][now.tag]; now.digest != "" && !slices.Contains(digests, now.digest) {
		return fmt.Sprintf("%s:%s never was %s", s.image, now.tag, now.digest)
	}
	best, digest := r.best(a, s, held)
	if best == "" || r.stays(a.owner()) != "" || r.disagree(a, s, held) {
		return ""
	}
	switch a.Mode {
	case "pullRequest", "batch":
		return "" // see pullFaults
	case "automatic":
		return fmt.Sprintf("%s is at %s@%.14s, and could be at %s@%.14s", s.image, now.tag, now.digest, best, digest)
	}
	image := r.w.Registry.Addr + "/" + s.image
	for _, p := range open {
		if p.Application == "local/shop/"+a.Name && p.Image == image && (p.State == "rejected" || p.State == "open" && p.Digest == digest) {
			return ""
		}
	}
	return fmt.Sprintf("nobody is asked whether %s goes from %s to %s@%.14s", s.image, now.tag, best, digest)
}

// disagree says whether something is held for one of those that share a folder, and not for
// another: they are told that they don't move together.
func (r *releaseWorld) disagree(a releaseApp, s slot, held []api.HoldSpec) bool {
	var first map[string]bool
	for _, b := range r.repo.Apps {
		if b.owner() != a.owner() {
			continue
		}
		all := map[string]bool{}
		for _, h := range held {
			if h.Application == "local/shop/"+b.Name && h.Image == r.w.Registry.Addr+"/"+s.image {
				all[h.Digest+h.Tag] = true
			}
		}
		if first != nil && !maps.Equal(first, all) {
			return true
		}
		first = all
	}
	return false
}

// best is where a rule has a reference go: the greatest of what was pushed and isn't held,
// where that is greater than what is there; else empty.
func (r *releaseWorld) best(a releaseApp, s slot, held []api.HoldSpec) (best, digest string) {
	a = a.works()
	st, now := streamOf(s.image), r.refs[s]
	greatest := -1
	for tag, digests := range r.tags[s.image] {
		is := digests[len(digests)-1]
		n, ok := r.order(a, s.image, tag, is)
		isHeld := slices.ContainsFunc(held, func(h api.HoldSpec) bool { // by any that has the folder, too: they move together
			return slices.ContainsFunc(r.repo.Apps, func(b releaseApp) bool { return b.owner() == a.owner() && h.Application == "local/shop/"+b.Name }) && h.Image == r.w.Registry.Addr+"/"+s.image && (h.Digest == is || h.Tag == tag)
		})
		if ok && !isHeld && !r.gone[is] && n > greatest {
			greatest, best, digest = n, tag, is
		}
	}
	at, reads := st.order(now.tag, a.Wide)
	switch {
	case best == "":
	case now.tag == best:
		if a.Exact != "" || a.TagOnly || !st.moves && a.Follow == "" || now.digest == digest {
			return "", ""
		}
	case a.Follow != "" || a.Exact != "":
	case (reads || st.ranged) && (at == greatest || at > greatest && !a.Downgrade):
		return "", ""
	}
	return best, digest
}

// backAgain holds that what people went back from is not there again.
func (r *releaseWorld) backAgain() {
	r.t.Helper()
	for s, digests := range r.left {
		if is := r.refs[s].digest; is != "" && digests[is] {
			r.t.Errorf("%s of %s is at %s@%s again, from which a person went back", s.image, s.owner, r.refs[s].tag, r.refs[s].digest)
		}
	}
}

// proposal is what the API shows of one.
type proposal struct {
	ID          string `json:"id"`
	Application string `json:"application"`
	Image       string `json:"image"`
	To          string `json:"to"`
	Digest      string `json:"digest"`
	State       string `json:"state"`
}

func (r *releaseWorld) proposals() (all []proposal, err error) {
	err = r.ask(http.MethodGet, "/v1/approvals?state=all", nil, &all)
	return all, err
}

// denied is a status that a request wasn't meant to have.
type denied struct {
	status int
	body   string
}

func (a denied) Error() string { return fmt.Sprintf("answered %d: %s", a.status, a.body) }

// ask asks the automator's API as maria.
func (r *releaseWorld) ask(method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.w.APIURL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+local.MariasToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return denied{res.StatusCode, string(answer)}
	}
	return json.Unmarshal(answer, into)
}

// asks asks until it is answered; what is refused stays so.
func (r *releaseWorld) asks(path string, body any) (status int) {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, func() error {
		var answer struct {
			ChainID string `json:"chainId"`
		}
		err := r.ask(http.MethodPost, path, body, &answer)
		status = http.StatusOK
		if answer.ChainID != "" {
			r.requests[answer.ChainID] = true
		}
		if a, is := errors.AsType[denied](err); is && a.status < http.StatusInternalServerError {
			status, err = a.status, nil
		}
		return err
	}))
	return status
}

// votes has people decide on most of what is asked, and says whether they did on any.
func (r *releaseWorld) votes() (voted bool) {
	r.t.Helper()
	all, err := r.proposals()
	must(r.t, err)
	for _, p := range all {
		if p.State != "open" || r.rng.IntN(4) == 0 {
			continue
		}
		decision := anyOf(r.rng, []string{"approved", "approved", "rejected"})
		status := r.asks("/v1/approvals/"+p.ID+"/votes", map[string]any{"decision": decision})
		r.say("  %s: %s to %s: %d", decision, p.Application, p.To, status)
		voted = true
	}
	return voted
}

// rollsBack asks for a rollback of an application, which may be refused.
func (r *releaseWorld) rollsBack() {
	r.t.Helper()
	r.rollBack(r.some())
}

func (r *releaseWorld) rollBack(a *releaseApp) {
	r.t.Helper()
	r.mayGoBack(a)
	status := r.asks("/v1/requests", map[string]any{"kind": "rollback", "application": "local/shop/" + a.Name, "reason": "it is tried"})
	r.say("  asked for a rollback of %s: %d", a.Name, status)
}

// letsGo asks for the end of a hold.
func (r *releaseWorld) letsGo() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.head))
	held, err := r.held()
	must(r.t, err)
	if len(held) == 0 {
		return
	}
	h := anyOf(r.rng, held)
	for s := range r.refs {
		r.hands[s] = true
		delete(r.left[s], h.Digest)
	}
	status := r.asks("/v1/requests", map[string]any{"kind": "release", "application": h.Application, "image": h.Image, "digest": h.Digest, "tag": h.Tag})
	r.say("  asked for %s of %s to be let go: %d", h.Digest, h.Application, status)
}

// goesBack has the branch be what it was some commits ago.
func (r *releaseWorld) goesBack() {
	r.t.Helper()
	if len(r.past) < 3 {
		return
	}
	to := r.past[len(r.past)-2-r.rng.IntN(2)]
	must(r.t, parts.Eventually(r.t.Context(), patience, func() error {
		_, err := r.maria.Git(r.t.Context(), "push", "-q", "--force", "origin", to.commit+":refs/heads/main")
		return err
	}))
	next := r.repo.Next
	r.repo = to.repo.clone()
	r.repo.Next = next // names are never used for two things
	r.past = append(r.past, to)
	_, err := r.maria.Git(r.t.Context(), "reset", "-q", "--hard", to.commit)
	must(r.t, err)
	r.refs, err = r.referencesIn()
	must(r.t, err)
	clear(r.wrote)
	clear(r.former)
	clear(r.left)
	r.say("  back to %.12s", to.commit)
}

// nothingElse holds at the end that nothing is left to do, that nothing was given up, that
// each image that nobody meddled with came in by one commit, and that each move was told
// once.
func (r *releaseWorld) nothingElse() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.quiet))
	r.settles()
	dead, err := r.o.Bus.Dead(r.t.Context())
	must(r.t, err)
	for _, d := range dead {
		r.t.Errorf("dead letter: %s", d)
	}
	merged := map[string]int{}
	for _, s := range r.events() {
		switch p := s.Event.Payload.(type) {
		case events.ChangeMerged:
			version := p.To
			if _, digest, pinned := strings.Cut(p.To, "@"); pinned {
				version = digest
			}
			merged[p.Commit+" "+p.Application+" "+p.Image+"@"+version]++
		case events.DecisionMade:
			const together = "is rendered of, too" // one of two that share a folder was let go
			unread := r.broken && strings.Contains(p.Reason, "policies/rules.yaml")
			theirs := r.pulls != nil && strings.Contains(p.Reason, gitrepo.ErrForeign.Error())
			if p.Outcome == events.Blocked && !r.requests[s.Event.ChainID] && !unread && !theirs && !strings.Contains(p.Reason, together) {
				r.t.Errorf("%s of %s is blocked: %s", p.Image, p.Application, p.Reason)
			}
		}
	}
	in := map[string]int{}
	for _, m := range r.commits() {
		for _, end := range m.ends() {
			in[end]++
			if n := merged[m.hash+" "+end]; n != 1 {
				r.t.Errorf("%s in commit %s was told %d times", end, m.hash, n)
			}
		}
	}
	for _, a := range r.repo.Apps {
		for _, s := range a.slots() {
			for _, digests := range r.tags[s.image] {
				for _, digest := range digests {
					end := "local/shop/" + a.Name + " " + r.w.Registry.Addr + "/" + s.image + "@" + digest
					if n := in[end]; n > 1 && !r.hands[s] {
						r.t.Errorf("%s is in %d commits", end, n)
					}
				}
			}
		}
	}
}

// commits gives those of the branch's head, as it was seen last.
func (r *releaseWorld) commits() []commit {
	r.t.Helper()
	out, err := r.maria.Git(r.t.Context(), "log", "--format="+historyFormat, "HEAD")
	must(r.t, err)
	return commitsOf(out)
}

// quiet errs while an automator has work, but for its sweeps, and images that aren't there.
func (r *releaseWorld) quiet() error {
	but := []string{"sweeps"}
	if len(r.gone) > 0 {
		but = append(but, "images") // one that is deleted may have been told of again, and is waited for
	}
	return errors.Join(r.noWork("automator", but...), r.noWork("second", but...))
}
