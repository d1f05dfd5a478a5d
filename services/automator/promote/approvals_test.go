package promote_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
)

func (b *bench) proposal() approval.Proposal {
	b.t.Helper()
	p, ok := b.votes.Of("production/shop/web", "ghcr.io/acme/web")
	if !ok {
		b.t.Fatalf("nothing is proposed: %q", b.decisions())
	}
	return p
}

// approve has a person of the leads approve a proposal.
func (b *bench) approve(id string) {
	b.t.Helper()
	_, err := b.votes.Vote(b.t.Context(), id, approval.Vote{Person: "maria", Groups: []string{"leads"}, Decision: "approved", At: b.deploy.Now()})
	must(b.t, err)
}

// vote has a person of the leads vote, and the pair decided on again.
func (b *bench) vote(person, decision string, override bool) {
	b.t.Helper()
	_, err := b.votes.Vote(b.t.Context(), b.proposal().ID, approval.Vote{
		Person: person, Groups: []string{"leads"}, Decision: decision, At: b.deploy.Now(), OverridesFreeze: override,
	})
	must(b.t, err)
	must(b.t, b.work(web))
}

// ends are how proposals ended, in order.
func (b *bench) ends() string {
	var all []string
	for _, e := range b.told(events.ApprovalClosedType) {
		p := e.Payload.(events.ApprovalClosed)
		all = append(all, p.To[:5]+" "+p.Status)
	}
	return strings.Join(all, ", ")
}

func TestAManualRuleWaitsForItsPeople(t *testing.T) {
	b := start(t, ruled(manual))
	b.at(time.Now())
	b.pushed("1.1.0", digestA)
	for range 2 {
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
	}
	if got := b.last(); got != "propose: 1.1.0 is the best; 0 of 2 approvals" {
		t.Fatalf("decided %q", got)
	}
	b.vote("maria", "approved", false)
	if b.uses() != "1.0.0" {
		t.Fatal("one vote was enough")
	}
	b.vote("omar", "approved", false)
	if b.uses() != "1.1.0" {
		t.Fatalf("uses %s: %q", b.uses(), b.decisions())
	}
	b.git.Pull()
	message := b.git.Git("log", "-1", "--format=%B")
	for _, line := range []string{"Slipway-Approved-By: maria (production/shop/web)", "Slipway-Approved-By: omar (production/shop/web)", "Slipway-Chain: chain-1.1.0 "} {
		if !strings.Contains(message, line) {
			t.Errorf("no %q in\n%s", line, message)
		}
	}
	must(t, b.work("head", web))
	if got := b.ends(); got != "1.1.0 approved" || b.git.Git("rev-list", "--count", "HEAD") != "2" {
		t.Errorf("ended: %s", got)
	}
}

// What ends a proposal for a while is no decision of people: they are asked again.
func TestAProposalComesBackWithWhatEndedIt(t *testing.T) {
	suspended := strings.Replace(application("web", "shop", "apps/web"), "namespace: shop", "namespace: shop, annotations: {slipway.dev/suspend: not now}", 1)
	for name, change := range map[string]map[string]string{
		"the application is suspended": {"cluster/web.yaml": suspended},
		"the rules can't be read":      {"policies/shop.yaml": policyFile + "  - {applications: [\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, ruled(manual))
			b.at(time.Now())
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			before := map[string]string{}
			for file, data := range change {
				before[file] = b.git.Git("show", "HEAD:"+file) + "\n"
				change[file] = strings.ReplaceAll(data, "REPO", b.url)
			}
			b.git.Commit("for a while", change)
			must(t, b.work("head"))
			if got := b.ends(); got != "1.1.0 cancelled" {
				t.Fatalf("ended: %q; %q", got, b.decisions())
			}
			b.git.Commit("no longer", before)
			for range 2 {
				must(t, b.work("head", web))
			}
			if p := b.proposal(); p.Status != "" || b.last() != "propose: 1.1.0 is the best; 0 of 2 approvals" {
				t.Fatalf("the proposal is %q; %q", p.Status, b.decisions())
			}
			b.vote("maria", "approved", false)
			b.vote("omar", "approved", false)
			if b.uses() != "1.1.0" {
				t.Errorf("uses %s: %q", b.uses(), b.decisions())
			}
		})
	}
}

func TestARejectedVersionStaysOutAndTheNextIsProposed(t *testing.T) {
	b := start(t, ruled(manual))
	b.at(time.Now())
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.vote("maria", "rejected", false)
	for range 2 {
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
	}
	if got := b.last(); got != "skip: 1.1.0 was rejected by maria" {
		t.Fatalf("decided %q", got)
	}
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	b.vote("maria", "approved", false)
	b.vote("omar", "approved", false)
	if got := b.ends(); b.uses() != "1.2.0" || got != "1.1.0 rejected, 1.2.0 approved" {
		t.Errorf("uses %s, ended: %s", b.uses(), got)
	}
}

func TestANewerTagSupersedesTheProposalUnlessTheRuleSaysNo(t *testing.T) {
	for rule, want := range map[string]struct{ uses, ends string }{
		manual:                        {"1.2.0", "1.1.0 cancelled, 1.2.0 approved"},
		manual + ", supersede: false": {"1.1.0", "1.1.0 approved"},
	} {
		b := start(t, ruled(rule))
		b.at(time.Now())
		b.pushed("1.1.0", digestA)
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
		b.vote("maria", "approved", false)
		b.pushed("1.2.0", digestB)
		must(t, b.work("ghcr.io/acme/web:1.2.0"))
		if want.uses == "1.2.0" {
			b.vote("maria", "approved", false) // the former vote is none for it
		}
		b.vote("omar", "approved", false)
		if got := b.ends(); b.uses() != want.uses || got != want.ends {
			t.Errorf("%s: uses %s, ended %q, want %+v", rule, b.uses(), got, want)
		}
	}
}

func TestAProposalEndsWithItsDeadlineOrItsRule(t *testing.T) {
	b := start(t, ruled(manual))
	now := time.Now()
	b.at(now)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.vote("maria", "approved", false)
	b.git.Pull()
	b.git.Commit("one more", map[string]string{"policies/shop.yaml": ruled(strings.Replace(manual, "count: 2", "count: 1", 1))["policies/shop.yaml"]})
	must(t, b.work("head"))
	if b.uses() != "1.0.0" || len(b.proposal().Votes) != 0 {
		t.Fatal("a vote under another rule counted")
	}
	b.at(now.Add(25 * time.Hour))
	must(t, b.work(web))
	if got := b.ends(); got != "1.1.0 cancelled, 1.1.0 expired" || b.uses() != "1.0.0" {
		t.Errorf("ended %q, uses %s", got, b.uses())
	}
}
