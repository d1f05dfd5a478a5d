package promote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

const rulesHead = "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: shop}\nspec:\n  rules:\n"

// approvedBy are the policies by which one person approves.
func approvedBy(person string) map[string]string {
	return map[string]string{"policies/shop.yaml": rulesHead +
		`  - {applications: ["production/shop/*"], images: ["ghcr.io/acme/*"], track: {semver: ">=1 <2"}, mode: manual, approvals: {from: ["` + person + `"]}}` + "\n"}
}

// items gathers what is put into the repositories' work, and gives what came
// since it was last asked.
func (b *bench) items() func() []string {
	b.t.Helper()
	q, err := b.bus.Queue(b.t.Context(), "repos", bus.QueueOptions{})
	must(b.t, err)
	var mu sync.Mutex
	var all []string
	marks := make(chan string, 16)
	run(b.t, func(ctx context.Context) error {
		return q.Run(ctx, func(_ context.Context, w bus.Work) error {
			mu.Lock()
			defer mu.Unlock()
			for _, item := range w.Items {
				if strings.HasPrefix(item, "mark ") {
					marks <- item
				} else {
					all = append(all, item)
				}
			}
			return nil
		})
	})
	n := 0
	return func() []string {
		n++
		must(b.t, q.Put(b.t.Context(), b.key, fmt.Sprint("mark ", n)))
		select {
		case <-marks:
		case <-time.After(20 * time.Second):
			b.t.Fatal("the work is not gathered")
		}
		mu.Lock()
		defer mu.Unlock()
		came := all
		all = nil
		slices.Sort(came)
		return came
	}
}

// knows waits until a replica has heard of what the other has read.
func (b *bench) knows(of *bench) {
	b.t.Helper()
	want, ok := of.repos.Heads.Of(of.key)
	if !ok {
		b.t.Fatal("nothing was told")
	}
	bustest.Until(b.t, "the other replica's word", func() bool {
		got, _ := b.repos.Heads.Of(b.key)
		return got.Revision >= want.Revision
	})
}

func (b *bench) healthy(application string, at time.Time) {
	b.t.Helper()
	e, err := events.New(events.Meta{ID: fmt.Sprint(application, at.UnixNano()), Source: "/synchronizer/production", ChainID: "health", Time: at}, events.PipelineRunFinished{
		Run: events.Run{Application: application, Commit: "0123456789012345678901234567890123456789"}, Outcome: events.Success,
	})
	must(b.t, err)
	must(b.t, b.health.Handle(b.t.Context(), e))
}

// TestAReplicaKnowsWhatAnotherHasRead: it has never read the repository, and has
// it worked on for what its rules speak of, and for nothing else.
func TestAReplicaKnowsWhatAnotherHasRead(t *testing.T) {
	one := start(t, nil)
	must(t, one.work("head"))
	two := one.replica()
	two.knows(one)
	came := two.items()
	begin := time.Now()

	two.pushed("1.1.0", digestA)
	two.pushedImage("ghcr.io/other/api", "1.1.0", digestA)
	two.healthy("production/shop/db", begin)
	if got := came(); !slices.Equal(got, []string{"ghcr.io/acme/web:1.1.0"}) {
		t.Errorf("put %q", got)
	}
	one.git.Commit("rules", map[string]string{"cluster/api.yaml": strings.ReplaceAll(application("api", "shop", "apps/api"), "REPO", one.url), "apps/api/pod.yaml": pod("ghcr.io/other/api:1.0.0"), "policies/shop.yaml": rulesHead +
		`  - {applications: ["production/shop/*"], images: ["ghcr.io/other/*"], track: {semver: ">=1 <2"}, mode: automatic, after: {application: production/shop/db, healthyFor: 1s}}` + "\n"})
	must(t, one.work("head"))
	two.knows(one)
	two.pushedImage("ghcr.io/acme/web", "1.2.0", digestA)
	two.pushedImage("ghcr.io/other/api", "1.2.0", digestA)
	two.pushedImage("ghcr.io/other/unused", "1.2.0", digestA)
	two.healthy("production/shop/db", begin.Add(time.Second))
	got := came()
	if !slices.Contains(got, "ghcr.io/other/api:1.2.0") || slices.Contains(got, "ghcr.io/acme/web:1.2.0") || len(got) != 2 {
		t.Errorf("put %q", got)
	}
	// It may have come as nobody had heard yet that it is used.
	if one.dueAt("again production/shop/api ghcr.io/other/api").IsZero() || !one.dueAt(web).IsZero() {
		t.Error("what is used from now on is not decided on once more, or something else is")
	}
}

// TestAReplicaAnswersForWhatAnotherHasRead: who may what is as Git says, by
// whichever replica it was read; nothing is fetched where nothing has moved.
func TestAReplicaAnswersForWhatAnotherHasRead(t *testing.T) {
	one := start(t, approvedBy("maria"))
	var requests atomic.Int64
	down := atomic.Bool{}
	one.before = func(*http.Request) {
		requests.Add(1)
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
	}
	must(t, one.work("head"))
	two := one.replica()
	two.knows(one)
	may := func(person string) error {
		return two.repos.May(t.Context(), "production/shop/web", "", person, nil)
	}
	must(t, may("maria"))
	if err := may("jo"); !errors.Is(err, approval.ErrMayNot) {
		t.Errorf("jo: %v", err)
	}
	one.git.Commit("rules", approvedBy("jo"))
	must(t, one.work("head"))
	two.knows(one)
	must(t, may("jo"))
	if err := may("maria"); !errors.Is(err, approval.ErrMayNot) {
		t.Errorf("maria, who may no longer: %v", err)
	}
	before := requests.Load()
	must(t, may("jo"))
	must(t, two.repos.Ask(t.Context(), promote.Request{ID: "1", Kind: promote.Place, Application: "production/shop/web", Image: "ghcr.io/acme/web", Tag: "1.0.0", By: "jo", Reason: "test", At: time.Now()}))
	if n := requests.Load() - before; n != 0 {
		t.Errorf("%d requests to the Git host for what is known", n)
	}
	if err := two.repos.May(t.Context(), "production/shop/nobody", "", "jo", nil); !errors.Is(err, promote.ErrRequest) {
		t.Errorf("an application that isn't there: %v", err)
	}
	one.git.Commit("rules", approvedBy("nobody"))
	must(t, one.work("head"))
	two.knows(one)
	down.Store(true)
	if err := may("jo"); err == nil || errors.Is(err, promote.ErrRequest) || errors.Is(err, approval.ErrMayNot) {
		t.Errorf("while the host is away: %v", err)
	}
	before = requests.Load()
	if _, err := two.repos.Holds(t.Context()); err == nil {
		t.Error("holds are listed of what can't be read")
	}
	if n := requests.Load() - before; n != 0 {
		t.Errorf("a host that didn't answer just now is asked again: %d requests", n)
	}
}

// TestAReplicaSweepsForWhatAnotherHasRead: a push that no webhook told of is
// found by a replica that has never read who wants the image.
func TestAReplicaSweepsForWhatAnotherHasRead(t *testing.T) {
	one := start(t, nil)
	must(t, one.work("head"))
	two := one.replica()
	two.knows(one)
	two.catalog.set("ghcr.io/acme/web:1.3.0", digestA)
	must(t, two.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web"}))
	if told := two.told(events.ArtifactPublishedType); len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

// TestABranchThatWentBackIsReadAgain: this replica read it there, and another one what
// came after it.
func TestABranchThatWentBackIsReadAgain(t *testing.T) {
	one := start(t, nil)
	must(t, one.work("head"))
	before := one.git.Git("rev-parse", "HEAD")
	two := one.replica()
	came := one.items()
	tells := func(after string) []string {
		t.Helper()
		e, err := events.New(events.Meta{ID: after + fmt.Sprint(time.Now().UnixNano()), Source: "/git-receiver/test", ChainID: "back", Time: time.Now()}, events.RefUpdated{
			Repository: events.GitRepository(strings.TrimSuffix(one.key, "@main")), Ref: "refs/heads/main", After: after, Provider: "github", Source: "test",
		})
		must(t, err)
		must(t, one.repos.Handle(t.Context(), e))
		return came()
	}
	if got := tells(before); len(got) > 0 {
		t.Errorf("what was read is to be read again: %q", got)
	}
	must(t, two.work("head "+one.git.Commit("a person's", map[string]string{"README.md": "x\n"})))
	one.knows(two)
	if got := tells(before); !slices.Equal(got, []string{"head " + before}) {
		t.Errorf("the branch went back, and put was %q", got)
	}
}

// TestOurOwnPushIsNotFetched: the host tells of it, and all is decided; but what
// another replica has decided on since is not.
func TestOurOwnPushIsNotFetched(t *testing.T) {
	b := start(t, nil)
	var requests atomic.Int64
	b.before = func(*http.Request) { requests.Add(1) }
	work := func(item string) (fetched bool) {
		t.Helper()
		before := requests.Load()
		must(t, b.work(item))
		return requests.Load() != before
	}
	b.pushed("1.1.0", digestA)
	work("ghcr.io/acme/web:1.1.0")
	b.git.Pull()
	ours := b.git.Git("rev-parse", "HEAD")
	if work("head " + ours) {
		t.Error("fetched what we have pushed")
	}
	if !work("head") {
		t.Error("not fetched after a start")
	}
	theirs := b.git.Commit("a person's", map[string]string{"README.md": "x\n"})
	if !work("head "+theirs) || work("head "+theirs) {
		t.Error("a person's commit is not fetched once")
	}
	if !work("head " + ours) {
		t.Error("not fetched though the branch went back")
	}
	other := b.replica()
	theirs = b.git.Commit("another", map[string]string{"README.md": "y\n"})
	must(t, other.work("head "+theirs))
	b.knows(other)
	if !work("head " + b.git.Git("rev-parse", "HEAD~1")) {
		t.Error("not fetched though another replica was further")
	}
}
