package approval_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

var binding = approval.Binding{
	Application: "production/shop/web", Image: "ghcr.io/acme/web", From: "1.4.1", To: "1.4.2@sha256:" + strings.Repeat("9f2c", 16),
	Digest: "sha256:" + strings.Repeat("9f2c", 16), Rule: "shop[0]", RuleHash: "a hash",
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func vote(person, decision string, groups ...string) approval.Vote {
	return approval.Vote{Person: person, Groups: groups, Decision: decision, At: noon.Add(time.Minute)}
}

// bench is a store on a real bus.
type bench struct {
	*approval.Store
	t   *testing.T
	bus *bus.Bus

	mu    sync.Mutex
	woken []string
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, bus: bustest.Start(t)}
	b.Store = b.again()
	return b
}

// again is a store as a replica that starts has it.
func (b *bench) again() *approval.Store {
	b.t.Helper()
	s, err := approval.OpenStore(b.t.Context(), b.bus, func(_ context.Context, application, image string) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.woken = append(b.woken, application+" "+image)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	if err := s.Ready(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// told are the events, as "<predicate> <what>".
func (b *bench) told() string {
	b.t.Helper()
	var all []string
	for s, err := range b.bus.Read(b.t.Context(), bus.ReadOptions{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		switch p := s.Event.Payload.(type) {
		case events.ApprovalCreated:
			all = append(all, "created "+p.To[:5])
		case events.ApprovalUpdated:
			all = append(all, p.Vote.Decision+" by "+p.Vote.Person)
		case events.ApprovalClosed:
			all = append(all, "closed "+p.Status)
		}
	}
	return strings.Join(all, ", ")
}

func TestVotesAreCountedAsTheRuleSays(t *testing.T) {
	two := &api.Approvals{Count: 2, From: []string{"group:leads", "omar"}, Deadline: new(api.Duration(time.Hour))}
	for name, c := range map[string]struct {
		rule  *api.Approvals
		votes []approval.Vote
		after time.Duration
		want  string
	}{
		"nobody yet":                        {two, nil, 0, ""},
		"one of two":                        {two, []approval.Vote{vote("maria", "approved", "leads")}, 0, ""},
		"two of two":                        {two, []approval.Vote{vote("maria", "approved", "leads"), vote("omar", "approved")}, 0, "approved"},
		"a person counts once":              {two, []approval.Vote{vote("maria", "approved", "leads"), vote("maria", "approved", "leads")}, 0, ""},
		"a rejection ends it":               {two, []approval.Vote{vote("maria", "approved", "leads"), vote("omar", "rejected")}, 0, "rejected"},
		"the deadline ends it":              {two, []approval.Vote{vote("maria", "approved", "leads")}, time.Hour, "expired"},
		"approved before the deadline":      {two, []approval.Vote{vote("maria", "approved", "leads"), vote("omar", "approved")}, 2 * time.Hour, "approved"},
		"one is enough without a count":     {nil, []approval.Vote{vote("anyone", "approved")}, 0, "approved"},
		"who pushed it does not approve it": {nil, []approval.Vote{vote("octocat", "approved")}, 0, ""},
		"unless the rule allows that":       {&api.Approvals{AllowAuthor: true}, []approval.Vote{vote("octocat", "approved")}, 0, "approved"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			p := approval.Open(binding, "chain", "octocat", c.rule, noon, "")
			must(t, b.Propose(t.Context(), p))
			for _, v := range c.votes {
				if _, err := b.Vote(t.Context(), p.ID, v); err != nil && !errors.Is(err, approval.ErrMayNot) {
					t.Fatal(err)
				}
			}
			now, _ := b.Of(binding.Application, binding.Image)
			if got := now.Verdict(noon.Add(2*time.Minute + c.after)); got.Status != c.want {
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVotesThatDontCountAreRefusedWithTheReason(t *testing.T) {
	b := open(t)
	p := approval.Open(binding, "chain", "octocat", &api.Approvals{From: []string{"group:leads"}, Deadline: new(api.Duration(time.Hour))}, noon, "")
	must(t, b.Propose(t.Context(), p))
	late := vote("maria", "approved", "leads")
	late.At = noon.Add(2 * time.Hour)
	long := vote("maria", "approved", "leads")
	long.Comment = strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		id   string
		vote approval.Vote
		want error
	}{
		"an unknown id":       {"0f5b2f0e", vote("maria", "approved", "leads"), approval.ErrUnknown},
		"too short an id":     {p.ID[:3], vote("maria", "approved", "leads"), approval.ErrUnknown},
		"nobody":              {p.ID, vote("", "approved", "leads"), approval.ErrVote},
		"no decision":         {p.ID, vote("maria", "perhaps", "leads"), approval.ErrVote},
		"a novel":             {p.ID, long, approval.ErrVote},
		"of another group":    {p.ID, vote("omar", "approved", "people"), approval.ErrMayNot},
		"a group's name":      {p.ID, vote("group:leads", "approved"), approval.ErrMayNot},
		"after the deadline":  {p.ID, late, approval.ErrClosed},
		"the one that pushed": {p.ID, vote("octocat", "approved", "leads"), approval.ErrMayNot},
	} {
		if _, err := b.Vote(t.Context(), c.id, c.vote); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := b.told(); got != "created 1.4.2" {
		t.Errorf("told %q", got)
	}
}

// A vote binds what was proposed: it counts for nothing that takes its place.
func TestAVoteIsNotTransferred(t *testing.T) {
	b := open(t)
	first := approval.Open(binding, "chain", "", nil, noon, "")
	must(t, b.Propose(t.Context(), first))
	_, err := b.Vote(t.Context(), first.ID[:8], vote("maria", "approved"))
	must(t, err)
	for name, change := range map[string]func(*approval.Binding){
		"another digest":    func(x *approval.Binding) { x.Digest = "sha256:" + strings.Repeat("00", 32) },
		"another tag":       func(x *approval.Binding) { x.To = "1.4.3" },
		"another reference": func(x *approval.Binding) { x.From = "1.4.0" },
		"another rule":      func(x *approval.Binding) { x.RuleHash = "another" },
	} {
		next := binding
		change(&next)
		p := approval.Open(next, "chain", "", nil, noon, "")
		must(t, b.Propose(t.Context(), p))
		now, ok := b.Of(binding.Application, binding.Image)
		if !ok || now.ID == first.ID || len(now.Votes) != 0 || now.Verdict(noon).Status != "" {
			t.Errorf("%s: %+v", name, now)
		}
		if _, err := b.Vote(t.Context(), first.ID, vote("omar", "approved")); !errors.Is(err, approval.ErrUnknown) {
			t.Errorf("%s: a vote for the former one gives %v", name, err)
		}
	}
}

func TestEveryStepIsToldOnce(t *testing.T) {
	b := open(t)
	p := approval.Open(binding, "chain", "octocat", &api.Approvals{Count: 2}, noon, "")
	for range 3 {
		must(t, b.Propose(t.Context(), p))
	}
	_, err := b.Vote(t.Context(), p.ID, vote("maria", "approved"))
	must(t, err)
	now, _ := b.Of(p.Application, p.Image)
	for range 2 {
		must(t, b.Close(t.Context(), now, events.Approved, "approved by maria", noon))
	}
	if _, err := b.Vote(t.Context(), p.ID, vote("omar", "rejected")); !errors.Is(err, approval.ErrClosed) {
		t.Errorf("a late vote gives %v", err)
	}
	newer := binding
	newer.To = "1.4.3"
	must(t, b.Propose(t.Context(), approval.Open(newer, "chain 2", "", nil, noon, "")))
	newest := binding
	newest.To = "1.4.4"
	must(t, b.Propose(t.Context(), approval.Open(newest, "chain 3", "", nil, noon, "")))
	want := "created 1.4.2, approved by maria, closed approved, created 1.4.3, closed cancelled, created 1.4.4"
	if got := b.told(); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if len(b.woken) != 5 {
		t.Errorf("woken %d times: %v", len(b.woken), b.woken)
	}
}

// A replica that dies between storing a vote and telling of it loses nothing.
func TestWhatADeadReplicaOwesIsTold(t *testing.T) {
	b := open(t)
	p := approval.Open(binding, "chain", "", nil, noon, "")
	must(t, b.Propose(t.Context(), p))
	dying, err := approval.OpenStore(t.Context(), b.bus, func(context.Context, string, string) error { return errors.New("killed") })
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- dying.Run(ctx) }()
	must(t, dying.Ready(t.Context()))
	if _, err := dying.Vote(t.Context(), p.ID, vote("maria", "approved")); err == nil {
		t.Fatal("the replica outlived its death")
	}
	cancel()
	must(t, <-ended)
	if got := b.told(); got != "created 1.4.2" {
		t.Fatalf("told %q", got)
	}
	b.woken = nil
	after := b.again()
	must(t, after.Settle(t.Context()))
	must(t, after.Settle(t.Context()))
	if got := b.told(); got != "created 1.4.2, approved by maria" || len(b.woken) != 1 {
		t.Errorf("told %q, woken %v", got, b.woken)
	}
}

func TestVotesBesideEachOtherAllCount(t *testing.T) {
	b := open(t)
	p := approval.Open(binding, "chain", "", &api.Approvals{Count: 5}, noon, "")
	must(t, b.Propose(t.Context(), p))
	var all sync.WaitGroup
	for _, person := range []string{"a", "b", "c", "d", "e"} {
		all.Go(func() {
			if _, err := b.Vote(t.Context(), p.ID, vote(person, "approved")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if now, _ := b.Of(p.Application, p.Image); now.Verdict(noon).Status != events.Approved {
		t.Errorf("%+v", now.Verdict(noon))
	}
}

// However people vote, nothing is approved by fewer than the rule wants, or
// after a rejection.
func TestApprovalNeedsItsPeople(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := &api.Approvals{Count: rapid.IntRange(0, 4).Draw(t, "count"), AllowAuthor: rapid.Bool().Draw(t, "author")}
		p := approval.Open(binding, "chain", "octocat", rule, noon, "")
		person := rapid.SampledFrom([]string{"maria", "omar", "li", "octocat"})
		approvers, rejected := map[string]bool{}, false
		for range rapid.IntRange(0, 8).Draw(t, "votes") {
			v := vote(person.Draw(t, "person"), rapid.SampledFrom([]string{"approved", "approved", "approved", "rejected"}).Draw(t, "decision"))
			p.Votes = append(p.Votes, v)
			if v.Person == "octocat" && !rule.AllowAuthor {
				continue
			}
			rejected = rejected || v.Decision == "rejected"
			approvers[v.Person] = true
		}
		got := p.Verdict(noon).Status == events.Approved
		if got && (rejected || len(approvers) < rule.Needed()) {
			t.Fatalf("approved by %v, rejected %t, needed %d", approvers, rejected, rule.Needed())
		}
	})
}
