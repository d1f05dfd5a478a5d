package e2e_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// stepwise is something that a synchronizer does in steps.
type stepwise struct {
	name string
	run  func(*randomWorld)
}

var stepwises = []stepwise{
	{"a sync with hooks, stages and something to prune", syncsInSteps},
	{"a move between two applications", moves},
	{"an application gets another name", renames},
	{"a drift is put right", drifts},
}

// stepwiseRepo has what these need, and no more.
func stepwiseRepo() *randomRepo {
	return &randomRepo{Next: 100, Apps: []randomApp{
		{ID: "app-1", Name: "app-1", Dir: "apps/app-1", Shape: "plain", Resync: 10, Hooks: []hook{{When: "pre"}, {When: "post"}}, Units: []unit{
			{Name: "first", Kind: "configmap"},
			{Name: "second", Kind: "deployment", Stage: 1},
			{Name: "passing-100", Kind: "configmap", Stage: 2},
		}},
		{ID: "app-2", Name: "app-2", Dir: "apps/app-2", Shape: "plain", Resync: 10, Units: []unit{
			{Name: "third", Kind: "secret"},
			{Name: "fourth", Kind: "configmap"},
		}},
	}}
}

func syncsInSteps(r *randomWorld) {
	a := &r.repo.Apps[0]
	for i := range a.Units {
		a.Units[i].Value++
	}
	a.Units[2].Name = r.repo.name("passing")
	r.commit("change app-1")
}

// moves hands an object back and forth.
func moves(r *randomWorld) {
	from, to := &r.repo.Apps[0], &r.repo.Apps[1]
	if len(from.Units) < 4 {
		from, to = to, from
	}
	last := len(from.Units) - 1
	to.Units = append(to.Units, from.Units[last])
	from.Units = from.Units[:last]
	r.commit("move " + to.Units[len(to.Units)-1].Name + " to " + to.Name)
}

// renames an application with hooks; its objects stay what they are.
func renames(r *randomWorld) {
	a := &r.repo.Apps[0]
	before := a.Name
	a.Name = r.repo.name("named")
	r.commit("rename " + before + " to " + a.Name)
}

func drifts(r *randomWorld) {
	ctx, maps := r.t.Context(), r.o.Clients.Dynamic.Resource(configMapResource).Namespace("shop")
	u, err := maps.Get(ctx, "first", metav1.GetOptions{})
	must(r.t, err)
	must(r.t, editByHand(r, ctx, configMapResource, u))
}

// mostMoments of one thing are tried by default, others with each seed;
// with a longer SLIPWAY_FAULTS_DURATION all of them. Each takes as long as the lease
// of who was killed.
const mostMoments = 4

// TestKilledAtEachMessage kills the synchronizer at what it says to the API
// server and hears from it, at one message after the other, and holds that it
// carries on each time: nothing is lost, made anew or run twice.
func TestKilledAtEachMessage(t *testing.T) {
	t.Parallel()
	rng := seed(t)
	r := newRandomWorld(t, rng, stepwiseRepo())
	r.services = []string{"bus", "git-receiver", "synchronizer"}
	r.w.Process("second").Kill() // it would save the other
	r.becomes()
	for _, s := range stepwises {
		messages := r.messagesOf(s)
		stride := 1
		if duration(t, time.Minute) <= time.Minute {
			stride = 1 + messages/mostMoments
		}
		r.say("%s: %d messages, every %dth of which is tried", s.name, messages, stride)
		for n := 1 + rng.IntN(stride); n <= messages && !t.Failed(); n += stride {
			r.killedAt(s, n, rng)
		}
	}
	r.commit("the last one")
	r.becomes()
	r.nothingElse()
	r.say("kills: %v", r.kills)
}

// messagesOf counts what is said while nobody is killed.
func (r *randomWorld) messagesOf(s stepwise) int {
	r.t.Helper()
	var count atomic.Int32
	r.w.APIProxy.Hook(func(local.Chunk) local.Fate { count.Add(1); return local.Pass })
	s.run(r)
	r.becomes()
	r.w.APIProxy.Hook(nil)
	return int(count.Load())
}

func (r *randomWorld) killedAt(s stepwise, n int, rng *rand.Rand) {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.running))
	trap := r.trap("synchronizer")
	var left atomic.Int32
	left.Store(int32(n))
	trap.at(r.w.APIProxy, func(local.Chunk) bool { return left.Add(-1) == 0 })
	restarted := trap.restart(millis(rng, 50))
	r.say("message %d", n)
	s.run(r)
	r.becomes()
	r.w.APIProxy.Hook(nil)
	trap.disarm()
	<-restarted
}
