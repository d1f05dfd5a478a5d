package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
)

// randomServices are the processes of a random world: without those that bring
// images to Git.
var randomServices = []string{"bus", "git-receiver", "synchronizer", "second"}

// randomWorld is a world of two synchronizers whose config repo changes at
// random, and what is known of it.
type randomWorld struct {
	*chaos
	rng      *rand.Rand
	services []string // that run
	repo     *randomRepo
	past     []past // what was pushed

	sure     *sure    // what held at the last check
	since    []*fleet // of the commits since then
	byHand   map[string]bool
	fields   []foreignField
	mayStay  map[string]bool
	ever     map[string]bool   // what was to be kept
	stay     map[string]string // uids of what must stay though Git hasn't it any more
	forced   int
	away     sync.WaitGroup    // what people undo after a while
	foreign  map[string]string // uids and versions of what is there by hand
	jobs     map[string]map[string]bool
	progress map[string]int // by uid of an Application, which head it has come to
	back     []string
}

// past is a commit that was the branch's head.
type past struct {
	commit string
	repo   *randomRepo
}

// sure is what held when all was quiet.
type sure struct {
	fleet *fleet
	uids  map[string]string
	had   map[string]bool // by the application that is to have it
}

// newRandomWorld starts one with a repo, and waits for nothing.
func newRandomWorld(t *testing.T, rng *rand.Rand, repo *randomRepo) *randomWorld {
	t.Helper()
	r := &randomWorld{
		rng: rng, services: randomServices, repo: repo, byHand: map[string]bool{}, mayStay: map[string]bool{}, ever: map[string]bool{}, stay: map[string]string{},
		foreign: map[string]string{}, jobs: map[string]map[string]bool{}, progress: map[string]int{},
	}
	r.chaos = newChaos(t, local.Options{Files: repo.files, Images: []string{local.WebImage}, Sweep: randomSweep})
	second, err := r.w.AddSynchronizer("second", "local", filepath.Join(r.dir, "kubeconfig-synchronizer"))
	must(t, err)
	for _, name := range randomServices {
		must(t, r.w.Process(name).Start())
	}
	must(t, parts.Eventually(t.Context(), patience, r.running))
	must(t, r.w.Bootstrap(t.Context()))
	r.o, err = r.w.Observe(t.Context())
	must(t, err)
	r.maria, err = r.w.Clone(t.Context(), "maria")
	must(t, err)
	r.note(r.head())
	ctx, end := context.WithCancel(t.Context())
	var watches sync.WaitGroup
	watches.Go(func() { r.watch(ctx, jobResource, r.sawJob) })
	watches.Go(func() { r.watch(ctx, applicationResource, r.sawApplication) })
	t.Cleanup(func() { end(); watches.Wait(); r.away.Wait(); r.o.Close() })
	r.say("%s and %s run", r.w.Process("synchronizer").Name, second.Name)
	return r
}

// running says whether everything that runs is ready.
func (r *randomWorld) running() error {
	return r.areReady(r.services)
}

func (r *randomWorld) head() string {
	r.t.Helper()
	commit, err := r.maria.Git(r.t.Context(), "rev-parse", "HEAD")
	must(r.t, err)
	return commit
}

// note remembers what is about to be the branch's head.
func (r *randomWorld) note(commit string) {
	r.t.Helper()
	f, err := readFleet(r.t.Context(), r.repo, r.w, commit)
	if r.repo.Broken {
		was := *r.latest()
		was.commit, f, err = commit, &was, nil
	}
	must(r.t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fields = slices.DeleteFunc(r.fields, func(field foreignField) bool {
		w, wanted := f.objects[field.key]
		return field.path[0] == "data" && wanted && len(w.left) == 0 // it is Git's again
	})
	for key, w := range f.meant {
		if w.forced {
			r.byHand[key] = true // it is made anew by who changes it
		}
	}
	r.noteStays(f)
	r.past, r.since = append(r.past, past{commit, r.repo.clone()}), append(r.since, f)
}

// noteStays remembers what may stay, since any commit that it was in, or the next,
// had it or its application be kept: not each of them is tried. What is made once goes
// on saying what it said then; and what an application that prunes nothing has let go of
// stays, unless another one has taken it.
func (r *randomWorld) noteStays(f *fleet) {
	all := slices.Clone(r.since)
	if r.sure != nil {
		all = append(all, r.sure.fleet)
	}
	leave := r.leave(f)
	for _, was := range all {
		for key, w := range was.objects {
			_, wanted := f.objects[key]
			r.ever[key] = r.ever[key] || w.keep
			// What another one has by now, and gives up before it took it, stays, too.
			if !wanted && (w.keep || w.once && r.ever[key] || leave[f.owner(w.app)]) || was.orphans(w.app) && (!wanted || f.apps[w.app] == nil) {
				r.mayStay[key] = true
			}
		}
	}
}

// leave are the applications that prune nothing by a fleet, or by one since the last check
// and then, as objects name them.
func (r *randomWorld) leave(f *fleet) map[string]bool {
	all := append(slices.Clone(r.since), f)
	if r.sure != nil {
		all = append(all, r.sure.fleet)
	}
	leave := map[string]bool{}
	for _, was := range all {
		for name := range was.apps {
			leave[was.owner(name)] = leave[was.owner(name)] || was.leaves(name)
		}
	}
	return leave
}

// latest is the fleet of the branch's head.
func (r *randomWorld) latest() *fleet {
	if len(r.since) > 0 {
		return r.since[len(r.since)-1]
	}
	if r.sure != nil {
		return r.sure.fleet
	}
	return nil
}

// commit writes the repo as it is now, and pushes it.
func (r *randomWorld) commit(message string) {
	r.t.Helper()
	for _, dir := range []string{"apps", "clusters"} {
		must(r.t, os.RemoveAll(filepath.Join(r.maria.Dir, dir)))
	}
	files := r.repo.files(r.w)
	r.repo.Next++ // so that no two commits have the same
	files["README.md"] = fmt.Sprintf("%d: %s\n", r.repo.Next, message)
	must(r.t, r.maria.Commit(r.t.Context(), message, files))
	commit := r.head()
	r.note(commit)
	_, err := r.maria.Git(r.t.Context(), "push", "-q", "origin", "HEAD:main")
	must(r.t, err)
	r.say("  %.12s: %s", commit, message)
}

// goBack has the branch be what it was some commits ago.
func (r *randomWorld) goBack() {
	r.t.Helper()
	if len(r.past) < 2 {
		return
	}
	to := r.past[max(0, len(r.past)-2-r.rng.IntN(3))]
	next := r.repo.Next
	r.repo = to.repo.clone()
	r.repo.Next = next // names are never used for two things
	_, err := r.maria.Git(r.t.Context(), "reset", "-q", "--hard", to.commit)
	must(r.t, err)
	r.forced++
	r.note(to.commit)
	_, err = r.maria.Git(r.t.Context(), "push", "-q", "--force", "origin", "HEAD:main")
	must(r.t, err)
	r.say("  back to %.12s", to.commit)
	if r.repo.Broken { // which nothing else would mend
		r.repo.Broken = false
		r.commit("mend the root")
	}
}

var (
	jobResource         = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	applicationResource = schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ApplicationResource}
)

// watch shows every state of a kind's objects until ctx ends.
func (r *randomWorld) watch(ctx context.Context, resource schema.GroupVersionResource, saw func(*unstructured.Unstructured)) {
	for ctx.Err() == nil {
		w, err := r.o.Clients.Dynamic.Resource(resource).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				r.t.Errorf("watch %s: %v", resource.Resource, err)
			}
			return
		}
		for e := range w.ResultChan() {
			if u, ok := e.Object.(*unstructured.Unstructured); ok {
				saw(u)
			}
		}
		w.Stop()
	}
}

// sawJob counts for what a hook was run.
func (r *randomWorld) sawJob(u *unstructured.Unstructured) {
	run := u.GetAnnotations()["slipway.dev/run"]
	if run == "" {
		return
	}
	key := keyOf(u) + " of " + u.GetAnnotations()["slipway.dev/owner"] + " for " + run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[key] == nil {
		r.jobs[key] = map[string]bool{}
	}
	r.jobs[key][string(u.GetUID())] = true
}

// sawApplication holds that what is applied goes on as the branch did.
func (r *randomWorld) sawApplication(u *unstructured.Unstructured) {
	revision, _, _ := unstructured.NestedString(u.Object, "status", "revision")
	if revision == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.progress[string(u.GetUID())]
	for i := at; i < len(r.past); i++ {
		if r.past[i].commit == revision {
			r.progress[string(u.GetUID())] = i
			return
		}
	}
	if len(r.back) == 0 || !strings.HasPrefix(r.back[len(r.back)-1], u.GetName()) {
		r.back = append(r.back, fmt.Sprintf("%s went from %.12s back to %.12s", u.GetName(), r.past[at].commit, revision))
	}
}
