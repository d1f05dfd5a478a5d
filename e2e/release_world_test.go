package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
)

// releaseWorld is a world of two automators, whose images and config repo change at
// random, and what is known of it. It has no cluster.
type releaseWorld struct {
	*chaos
	rng  *rand.Rand
	repo *releaseRepo
	refs map[slot]ref // of the branch's head, as it was seen last
	past []releasePast

	pushes   map[string]int                 // of each stream
	tags     map[string]map[string][]string // of each stream: the digests that a tag had
	gone     map[string]bool                // digests that were deleted
	wrote    map[slot]ref                   // what the automator is seen to have written last
	former   map[slot][]ref
	hands    map[slot]bool            // whose references people set, or had set
	left     map[slot]map[string]bool // digests that people went back from
	requests map[string]bool          // chains of what was asked for, which may be refused
	asked    map[string]bool          // owners of which a rollback was asked for
	broken   bool                     // the rules couldn't be read at times
	at       string                   // the branch's head, as it was seen last
	told     map[string]*runs         // by application
	toldNow  map[string]bool          // in this round
	pulls    *pullsSeen               // nil where nobody merges

	faults []fault
	acts   []func(*releaseWorld)
}

// releasePast is a commit of a person that was the branch's head.
type releasePast struct {
	commit string
	repo   *releaseRepo
}

// releaseServices are the processes of such a world.
var releaseServices = []string{"bus", "registry-receiver", "git-receiver", "automator", "second"}

const noCluster = os.DevNull // a kubeconfig that nobody reads

// newReleaseWorld starts a world; with pulls, its Git host is a Gitea.
func newReleaseWorld(t *testing.T, rng *rand.Rand, pulls *pullsSeen) *releaseWorld {
	t.Helper()
	r := &releaseWorld{
		pulls: pulls, faults: append(slices.Clone(releaseFaults), gitIsAway), acts: acts,
		rng: rng, repo: &releaseRepo{}, refs: map[slot]ref{}, pushes: map[string]int{}, tags: map[string]map[string][]string{}, wrote: map[slot]ref{}, gone: map[string]bool{},
		former: map[slot][]ref{}, hands: map[slot]bool{}, left: map[slot]map[string]bool{}, requests: map[string]bool{}, asked: map[string]bool{}, told: map[string]*runs{},
	}
	empty := func(*local.World) map[string]string { return map[string]string{"README.md": "# Empty\n"} }
	o, host := local.Options{Files: empty, Images: []string{}, Sweep: randomSweep, Kubeconfig: noCluster}, &gitHost{}
	if pulls == nil {
		o.AroundGit = host.around
	} else {
		o.Gitea, r.faults, r.acts = true, append(slices.Clone(releaseFaults), giteaIsAway), append(slices.Clone(acts), pullActs...)
	}
	r.chaos = newChaos(t, o)
	r.git = host
	for _, s := range streams {
		r.release(s, s.first())
	}
	_, err := r.w.AddAutomator("second")
	must(t, err)
	for _, name := range releaseServices {
		must(t, r.w.Process(name).Start())
	}
	must(t, parts.Eventually(t.Context(), patience, r.running))
	b, err := r.w.ObserveBus(t.Context())
	must(t, err)
	r.o = &local.Observer{Bus: b}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.listen(ctx) }()
	t.Cleanup(func() { end(); <-done; b.Close() })
	r.maria, err = r.w.Clone(t.Context(), "maria")
	must(t, err)
	r.change(func() (string, func()) {
		for _, layout := range layouts {
			r.addApp(layout)
		}
		return "begin", nil
	})
	return r
}

func (r *releaseWorld) running() error { return r.areReady(releaseServices) }

// release pushes an image at a tag.
func (r *releaseWorld) release(s stream, tag string) {
	r.t.Helper()
	p := r.pushTag(s.image, tag)
	if r.tags[s.image] == nil {
		r.tags[s.image] = map[string][]string{}
	}
	r.tags[s.image][tag] = append(r.tags[s.image][tag], p.digest)
}

// pushNext pushes the next tag of a stream. What a rule may want is never pushed again,
// but where that is what the tag is for.
func (r *releaseWorld) pushNext(s stream) {
	r.t.Helper()
	r.pushes[s.image]++
	for {
		tag := s.next(r.rng, r.pushes[s.image])
		if _, wanted := s.order(tag, true); wanted && !s.moves && len(r.tags[s.image][tag]) > 0 {
			continue
		}
		r.release(s, tag)
		r.say("  pushed %s:%s", s.image, tag)
		return
	}
}

// templates are the files of the repo as it is meant to be.
func (r *releaseWorld) templates() map[string]string {
	return r.repo.templates(r.w.Registry.Addr, r.w.RepoURL)
}

// head brings the branch's head to the person's clone, and reads the references there.
// Everything else has to be as people have written it.
func (r *releaseWorld) head() error {
	r.t.Helper()
	if _, err := r.maria.Git(r.t.Context(), "fetch", "-q", "origin", "main"); err != nil {
		return err
	}
	if _, err := r.maria.Git(r.t.Context(), "reset", "-q", "--hard", "FETCH_HEAD"); err != nil {
		return err
	}
	commit, err := r.maria.Git(r.t.Context(), "rev-parse", "HEAD")
	if err != nil || len(r.past) == 0 {
		return err
	}
	refs, err := r.referencesIn()
	if err != nil {
		r.t.Fatalf("at %.12s: %v", commit, err)
	}
	r.at = commit
	for s, now := range refs {
		if was := r.refs[s]; now != was {
			if why := r.stays(s.owner); why != "" && !r.asked[s.owner] && !r.pulls.merges(s.owner) {
				r.t.Errorf("%s of %s went from %s to %s, but %s", s.image, s.owner, was.tag, now.tag, why)
			}
			r.wrote[s] = now
			r.former[s] = append(r.former[s], was)
			r.pulls.moved(s, now)
		}
	}
	r.refs = refs
	return nil
}

// referencesIn reads the clone, which has nothing but what people wrote, and holds.
func (r *releaseWorld) referencesIn() (map[slot]ref, error) {
	refs, left := map[slot]ref{}, r.templates()
	err := filepath.WalkDir(r.maria.Dir, func(name string, d os.DirEntry, err error) error {
		path, relErr := filepath.Rel(r.maria.Dir, name)
		if err := errors.Join(err, relErr); err != nil {
			return err
		}
		switch {
		case path == ".git":
			return filepath.SkipDir
		case d.IsDir() || path == "README.md" || strings.HasPrefix(path, api.HoldsPath) || strings.HasPrefix(path, notesPath):
			return nil
		}
		template, ok := left[path]
		if !ok {
			return fmt.Errorf("%s: nobody has written it", path)
		}
		delete(left, path)
		data, err := os.ReadFile(name)
		if err == nil {
			err = readRefs(template, string(data), refs)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("these are gone: %v", slices.Sorted(maps.Keys(left)))
	}
	return refs, err
}

// act is what a person changes of the repo or of the references: what it says of it, and
// what is known once it is pushed. Nothing is changed where it says nothing.
type act func() (message string, known func())

// change commits an act, on whatever the automator has pushed until then.
func (r *releaseWorld) change(what act) {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, func() error {
		if err := r.head(); err != nil {
			return err
		}
		repo, refs := r.repo, maps.Clone(r.refs)
		r.repo = repo.clone()
		message, known := what()
		if message == "" {
			r.repo = repo
			return nil
		}
		commit, err := r.pushFiles(message)
		if err != nil { // somebody else was first, or the host is away
			repo.Next = r.repo.Next
			r.repo, r.refs = repo, refs
			return err
		}
		if known != nil {
			known()
		}
		r.past = append(r.past, releasePast{commit, r.repo.clone()})
		r.say("  %.12s: %s", commit, message)
		return nil
	}))
}

// pushFiles writes the repo as it is now. Where the answer is lost, it looks what the
// host has.
func (r *releaseWorld) pushFiles(message string) (commit string, err error) {
	ctx := r.t.Context()
	for _, dir := range []string{"apps", "bases", "charts", "clusters", "policies"} {
		if err := os.RemoveAll(filepath.Join(r.maria.Dir, dir)); err != nil {
			return "", err
		}
	}
	r.repo.Next++ // no two commits are the same
	files := map[string]string{"README.md": fmt.Sprintf("%d: %s\n", r.repo.Next, message)}
	for name, template := range r.templates() {
		files[name] = fill(template, r.refs)
	}
	if err := r.maria.Commit(ctx, message, files); err != nil {
		return "", err
	}
	if commit, err = r.maria.Git(ctx, "rev-parse", "HEAD"); err != nil {
		return "", err
	}
	_, err = r.maria.Git(ctx, "push", "-q", "origin", "HEAD:main")
	if err == nil {
		return commit, nil
	}
	has := parts.Eventually(ctx, patience, func() error {
		_, err := r.maria.Git(ctx, "fetch", "-q", "origin", "main")
		return err
	})
	if has != nil {
		return "", has
	}
	if _, is := r.maria.Git(ctx, "merge-base", "--is-ancestor", commit, "FETCH_HEAD"); is == nil {
		return commit, nil
	}
	return "", err
}

// held are the holds of the clone, by application.
func (r *releaseWorld) held() (all []api.HoldSpec, err error) {
	files, err := filepath.Glob(filepath.Join(r.maria.Dir, api.HoldsPath, "local", "shop", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		docs, err := api.Decode(file, data)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			if h, ok := d.Object.(*api.Hold); ok {
				all = append(all, h.Spec)
			}
		}
	}
	return all, nil
}
