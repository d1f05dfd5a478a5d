package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

const sharedApps = 12

// sharedRound is the config map of every shared application in one round; in every
// third there is one more, so that there is something to prune.
func sharedRound(w *local.World, n int) map[string]string {
	files := map[string]string{}
	for i := range sharedApps {
		name := fmt.Sprintf("shared-%d", i)
		files["clusters/local/"+name+".yaml"] = w.Application(name, "apps/"+name)
		files["apps/"+name+"/all.yaml"] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {round: %q}\n", name, strconv.Itoa(n))
		if n%3 == 0 {
			files["apps/"+name+"/all.yaml"] += fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-more}\ndata: {round: %q}\n", name, strconv.Itoa(n))
		}
	}
	return files
}

// history watches the config maps, and tells of each that went back.
type history struct {
	mu   sync.Mutex
	last map[string]int
	back []string
}

func (r *history) watch(ctx context.Context, o *local.Observer) error {
	w, err := o.Clients.Dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("shop").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	go func() {
		defer w.Stop()
		for e := range w.ResultChan() {
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue // the watch's own words
			}
			text, _, _ := unstructured.NestedString(u.Object, "data", "round")
			n, err := strconv.Atoi(text)
			if err != nil {
				continue // not of ours
			}
			r.mu.Lock()
			if n < r.last[u.GetName()] {
				r.back = append(r.back, fmt.Sprintf("%s from %d to %d", u.GetName(), r.last[u.GetName()], n))
			}
			r.last[u.GetName()] = n
			r.mu.Unlock()
		}
	}()
	return nil
}

// at says whether every application is at a round.
func (r *history) at(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for i := range sharedApps {
		if name := fmt.Sprintf("shared-%d", i); r.last[name] != n {
			errs = append(errs, fmt.Errorf("%s is at %d, not %d", name, r.last[name], n))
		}
	}
	return errors.Join(errs...)
}

// withSecond is a shop with two synchronizers.
func withSecond(t *testing.T) (c *chaos, second *local.Process) {
	t.Helper()
	c = newChaos(t, local.Options{})
	c.begin()
	second, err := c.w.AddSynchronizer("second", "local", c.w.Kubeconfig)
	must(t, err)
	must(t, second.Start())
	must(t, c.w.Ready(t.Context()))
	return c, second
}

// TestReplicasShare has two synchronizers share a cluster's applications while
// one of them is killed, or stopped in the middle of its work and let go on when
// the other has done it: what is newer is never undone, and nobody waits long.
func TestReplicasShare(t *testing.T) {
	t.Parallel()
	rng := seed(t)
	c, second := withSecond(t)
	seen := &history{last: map[string]int{}}
	must(t, seen.watch(t.Context(), c.o))
	both := []*local.Process{c.w.Process("synchronizer"), second}
	commit := func(n int) {
		t.Helper()
		must(t, c.maria.Commit(t.Context(), fmt.Sprintf("round %d", n), sharedRound(c.w, n)))
		must(t, c.maria.Push(t.Context()))
	}
	commit(1)
	must(t, parts.Eventually(t.Context(), time.Minute, func() error { return seen.at(1) }))
	last := 1
	for try := range 6 {
		victim, stopped := both[rng.IntN(2)], try%2 == 0
		last++
		commit(last)
		time.Sleep(millis(rng, 250)) // the moment of the fault
		if stopped {
			must(t, victim.Pause())
			c.say("%s is stopped in round %d", victim.Name, last)
		} else {
			victim.Kill()
			c.say("%s is killed in round %d", victim.Name, last)
		}
		last++
		commit(last)
		begun := time.Now()
		must(t, parts.Eventually(t.Context(), time.Minute, func() error { return seen.at(last) }))
		c.say("the other has done round %d after %.1fs", last, time.Since(begun).Seconds())
		if stopped {
			must(t, victim.Resume())
		} else {
			must(t, victim.Start())
		}
		must(t, c.w.Ready(t.Context()))
	}
	must(t, parts.Eventually(t.Context(), time.Minute, func() error {
		return errors.Join(seen.at(last), c.w.AllReady(t.Context(), 3+sharedApps, nil), noMore(t, c.w, last))
	}))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.back) > 0 {
		t.Errorf("what was newer was undone: %s", strings.Join(seen.back, ", "))
	}
}

// TestABranchGoesBackForAllReplicas has a branch be again what it was before: also those
// applications follow at once of which a replica takes care that hasn't seen it go back,
// and whose head contains where it went.
func TestABranchGoesBackForAllReplicas(t *testing.T) {
	t.Parallel()
	c, _ := withSecond(t)
	seen := &history{last: map[string]int{}}
	must(t, seen.watch(t.Context(), c.o))
	is := func(n int) {
		t.Helper()
		must(t, parts.Eventually(t.Context(), time.Minute, func() error { return seen.at(n) }))
	}
	commit := func(n int) {
		t.Helper()
		must(t, c.maria.Commit(t.Context(), fmt.Sprintf("round %d", n), sharedRound(c.w, n)))
		must(t, c.maria.Push(t.Context()))
	}
	back := func() {
		t.Helper()
		for _, args := range [][]string{{"reset", "-q", "--hard", "HEAD~1"}, {"push", "-q", "--force", "origin", "HEAD:main"}} {
			_, err := c.maria.Git(t.Context(), args...)
			must(t, err)
		}
	}
	commit(1)
	is(1)
	for n := 2; n < 5; n++ {
		commit(n)
		is(n)
		back()
		begun := time.Now()
		is(1)
		c.say("it is as it was before round %d after %.1fs", n, time.Since(begun).Seconds())
	}
	for n := 5; n < 10; n++ { // it goes back while what came before that is being brought in
		commit(n)
		back()
		must(t, parts.Eventually(t.Context(), time.Minute, func() error {
			return errors.Join(c.queuesEmpty(), c.consumersIdle(), seen.at(1))
		}))
	}
}

// TestAReplicaDiesWhileItWaits kills the synchronizer that waits for an
// application's health, which no lease is held for: the other goes on, long before
// the next resync.
func TestAReplicaDiesWhileItWaits(t *testing.T) {
	t.Parallel()
	c, second := withSecond(t)
	slow := strings.Replace(local.Deployment("slow", c.w.Image(local.WebImage, "1.0.0"), 1),
		"    spec:\n", "      annotations: {e2e.slipway.dev/behaviour: ready-after=5s}\n    spec:\n", 1)
	must(t, c.maria.Commit(t.Context(), "slow", map[string]string{"clusters/local/slow.yaml": c.w.Application("slow", "apps/slow"), "apps/slow/all.yaml": slow}))
	must(t, c.maria.Push(t.Context()))
	var waits *local.Process
	must(t, parts.Eventually(t.Context(), time.Minute, func() error {
		for _, p := range []*local.Process{c.w.Process("synchronizer"), second} {
			if strings.Contains(p.Log(), `"msg":"applied","service":"synchronizer","application":"local/shop/slow"`) {
				waits = p
				return nil
			}
		}
		return errors.New("it isn't applied")
	}))
	out, err := c.w.Kubectl(t.Context(), "", "get", "applications.slipway.dev", "slow", "-n", "shop", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if err != nil || out == "True" {
		t.Fatalf("nobody waits: Ready is %q, %v", out, err)
	}
	waits.Kill()
	c.say("%s is killed", waits.Name)
	must(t, parts.Eventually(t.Context(), time.Minute, func() error { return c.w.AllReady(t.Context(), 4, nil) }))
	c.say("the other has gone on")
}

// noMore says whether what the last round hasn't is gone.
func noMore(t *testing.T, w *local.World, last int) error {
	t.Helper()
	out, err := w.Kubectl(t.Context(), "", "get", "configmaps", "-n", "shop", "-o", "name")
	if err == nil && last%3 != 0 && strings.Contains(out, "-more") {
		err = fmt.Errorf("what is gone from Git is there: %s", out)
	}
	return err
}

// TestTwoClustersDontMeet has two clusters on one bus, each with its own
// synchronizer and root, of one repo: each gets its own, and says so.
func TestTwoClustersDontMeet(t *testing.T) {
	t.Parallel()
	c := newChaos(t, local.Options{})
	other, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(other.Kill)
	c.begin()
	south, err := c.w.AddSynchronizer("south", "south", other.Kubeconfig)
	must(t, err)
	must(t, south.Start())
	must(t, c.w.Ready(t.Context()))
	files := map[string]string{
		"clusters/south/shop.yaml": c.w.Base()["clusters/local/shop.yaml"],
		"clusters/south/web.yaml":  c.w.Application("web", "apps/south"),
		"apps/south/all.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: south}\ndata: {round: \"1\"}\n",
	}
	must(t, c.maria.Commit(t.Context(), "the south", files))
	must(t, c.maria.Push(t.Context()))
	root := strings.ReplaceAll(c.w.RootApplication(), "clusters/local", "clusters/south")
	must(t, parts.Eventually(t.Context(), time.Minute, func() error { return other.Apply(t.Context(), root) }))
	must(t, parts.Eventually(t.Context(), time.Minute, func() error {
		out, err := other.Kubectl(t.Context(), "get", "configmaps,deployments", "-n", "shop", "-o", "name")
		if err == nil && (!strings.Contains(out, "configmap/south") || strings.Contains(out, "deployment")) {
			err = fmt.Errorf("the south has %s", out)
		}
		return err
	}))
	// A commit for one is none of the other's, and each goes on without the other.
	south.Kill()
	c.arrives(c.push(local.WebImage))
	must(t, south.Start())
	c.w.Process("synchronizer").Kill()
	must(t, c.maria.Commit(t.Context(), "the south again", map[string]string{
		"apps/south/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: south}\ndata: {round: \"2\"}\n",
	}))
	must(t, c.maria.Push(t.Context()))
	must(t, parts.Eventually(t.Context(), time.Minute, func() error {
		out, err := other.Kubectl(t.Context(), "get", "configmap", "south", "-n", "shop", "-o", "jsonpath={.data.round}")
		if err == nil && out != "2" {
			err = fmt.Errorf("the south is at %q", out)
		}
		return err
	}))
	for _, s := range c.events() {
		if p, ok := s.Event.Payload.(events.PipelineRunFinished); ok {
			cluster, _, _ := strings.Cut(p.Application, "/")
			if s.Event.Source != "/synchronizer/"+cluster {
				t.Errorf("%s speaks for %s", s.Event.Source, p.Application)
			}
		}
	}
	out, err := c.w.Kubectl(t.Context(), "", "get", "configmaps", "-n", "shop", "-o", "name")
	must(t, err)
	if strings.Contains(out, "south") {
		t.Errorf("the north has %s", out)
	}
}

// TestReplicasDontTakeEachOthersValuesForTheirOwn has a replica bring in again what it
// had sent before, when another one has sent other values of the same fields since.
func TestReplicasDontTakeEachOthersValuesForTheirOwn(t *testing.T) {
	t.Parallel()
	c, second := withSecond(t)
	first := c.w.Process("synchronizer")
	color := func(color string) {
		t.Helper()
		files := map[string]string{"apps/web/color.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: color}\ndata: {color: %s}\n", color)}
		must(t, c.maria.Commit(t.Context(), color, files))
		must(t, c.maria.Push(t.Context()))
		must(t, parts.Eventually(t.Context(), time.Minute, func() error {
			out, err := c.w.Kubectl(t.Context(), "", "get", "configmap", "color", "-n", "shop", "-o", "jsonpath={.data.color}")
			if err != nil || out != color {
				return fmt.Errorf("it is %q, not %s: %w", out, color, err)
			}
			return nil
		}))
	}
	must(t, second.Pause())
	color("red")
	must(t, second.Resume())
	must(t, first.Pause())
	color("green")
	must(t, first.Resume())
	must(t, second.Pause())
	color("red")
	must(t, second.Resume())
}
