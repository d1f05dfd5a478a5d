package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// TestRandomReleases pushes images of all kinds of tags at random, to applications that
// name them in all kinds of files, while people change those files, their rules, and what
// runs; automators, bus and receivers are killed and stopped, the Git host and the registry
// are out, and webhooks are lost, come late, twice and in disorder. Whenever all is quiet,
// the branch's head has the best of what every rule wants, of what nobody holds; and but for
// that every byte is as people have written it.
// SLIPWAY_FAULTS_DURATION says for how long, SLIPWAY_FAULTS_SEED repeats a schedule; without
// them it is a short one that has found faults.
func TestRandomReleases(t *testing.T) {
	t.Parallel()
	const foundFaults = 11
	rng, end := search(t, foundFaults)
	newReleaseWorld(t, rng, nil).lives(end)
}

// lives has rounds until the time is over.
func (r *releaseWorld) lives(end time.Duration) {
	r.t.Helper()
	r.settles()
	rounds := r.rounds(end, r.round)
	if r.t.Failed() {
		return
	}
	if r.repo.Broken {
		r.change(r.breaks)
	}
	r.nothingElse()
	r.say("%d rounds, %d commits of people, %d images, kills: %v", rounds, len(r.past), len(r.all), r.kills)
}

var releaseFaults = []fault{
	killed("automator"), killed("second"), killed("automator"), killed("second"), killed("bus"), killed("registry-receiver"), killed("git-receiver"),
	paused("automator"), paused("second"),
	{"webhooks of the Git host come late, twice and in disorder", []string{"webhooks"}, webhooksInDisorder},
	{"webhooks of the registry are lost", []string{"images"}, imagesUntold},
	{"webhooks of the registry come again", []string{"images"}, imagesToldAgain},
	{"the registry is out", []string{"registry"}, isOut("the registry", func(w *local.World) *local.Proxy { return w.RegistryProxy })},
}

var gitIsAway = fault{"the Git host is out", []string{"Git"}, hostIsOut}

// round disturbs, pushes and changes, and waits until all is as it should be.
func (r *releaseWorld) round() {
	r.t.Helper()
	r.toldNow = map[string]bool{}
	wait := r.suffers(r.rng, r.faults)
	if r.repo.Broken {
		r.change(r.breaks)
	}
	for range 1 + r.rng.IntN(6) {
		if r.rng.IntN(3) > 0 {
			r.pushNext(anyOf(r.rng, streams))
		} else {
			anyOf(r.rng, r.acts)(r)
		}
		time.Sleep(millis(r.rng, 300)) // until the next one comes
	}
	wait()
	r.settles()
	if r.votes() {
		r.settles()
	}
	if r.rng.IntN(2) == 0 {
		r.tellsHealth()
		r.settles()
	}
}

// acts are what people do; what is there twice comes more often.
var acts = []func(*releaseWorld){
	func(r *releaseWorld) { r.change(r.notes) },
	func(r *releaseWorld) { r.change(r.notes) },
	func(r *releaseWorld) { r.change(r.adds) },
	func(r *releaseWorld) { r.change(r.removes) },
	func(r *releaseWorld) { r.change(r.moves) },
	func(r *releaseWorld) { r.change(r.changesMode) },
	func(r *releaseWorld) { r.change(r.changesTrack) },
	func(r *releaseWorld) { r.change(r.suspends) },
	func(r *releaseWorld) { r.change(r.reverts) },
	func(r *releaseWorld) { r.change(r.reverts) },
	func(r *releaseWorld) { r.change(r.pins) },
	func(r *releaseWorld) { r.change(r.changesGates) },
	func(r *releaseWorld) { r.change(r.changesGates) },
	func(r *releaseWorld) { r.change(r.changesGates) },
	(*releaseWorld).tellsHealth,
	(*releaseWorld).tellsHealth,
	func(r *releaseWorld) { r.change(r.breaks) },
	(*releaseWorld).deletes,
	(*releaseWorld).goesBack,
	(*releaseWorld).rollsBack,
	(*releaseWorld).letsGo,
}

// some is an application, by where it is in the repo.
func (r *releaseWorld) some() *releaseApp { return &r.repo.Apps[r.rng.IntN(len(r.repo.Apps))] }

var layouts = []string{"plain", "twins", "kustomize", "overlay", "values", "digests"}

// those are an application and those that share its folder, whose rules are the same.
func (r *releaseWorld) those() (all []*releaseApp) {
	owner := r.some().owner()
	for i := range r.repo.Apps {
		if a := &r.repo.Apps[i]; a.owner() == owner {
			all = append(all, a)
		}
	}
	return all
}

func (r *releaseWorld) addApp(layout string) {
	id := r.repo.name("app")
	a := releaseApp{Name: id, Dir: "apps/" + id, Layout: layout, Wide: r.rng.IntN(2) == 0, GoesBack: r.rng.IntN(3) == 0}
	images := 1
	if layout == "plain" || layout == "kustomize" {
		images += r.rng.IntN(2)
	}
	for _, i := range r.rng.Perm(len(streams))[:images] {
		a.Images = append(a.Images, streams[i].image)
	}
	a.Mode = anyOf(r.rng, r.modes(a))
	a.BackAsked = r.pulls != nil && layout != "twins" && r.rng.IntN(2) == 0
	if layout == "twins" {
		a.Folder = r.repo.name("folder")
		other := a
		other.Name = r.repo.name("app")
		r.repo.Apps = append(r.repo.Apps, other)
	}
	if r.rng.IntN(2) == 0 && a.Folder == "" {
		a.gates = r.gatesFor(&a)
	}
	r.repo.Apps = append(r.repo.Apps, a)
	for _, s := range a.slots() {
		r.hands[s] = a.Follow != "" || a.Exact != "" || a.Downgrade
		tag := streamOf(s.image).first()
		r.refs[s] = ref{tag, r.tags[s.image][tag][0]}
		if layout == "overlay" || (layout == "plain" || layout == "twins") && r.rng.IntN(2) == 0 {
			r.refs[s] = ref{tag: tag} // the automator pins it once it moves
		}
	}
}

func (r *releaseWorld) notes() (string, func()) {
	all := r.those()
	for _, a := range all {
		a.Note++
	}
	return "note something in " + all[0].owner(), nil
}

func (r *releaseWorld) adds() (string, func()) {
	if len(r.repo.Apps) > 9 {
		return "", nil
	}
	r.addApp(anyOf(r.rng, layouts))
	return "add " + r.repo.Apps[len(r.repo.Apps)-1].Name, nil
}

func (r *releaseWorld) removes() (string, func()) {
	if len(r.repo.Apps) < 4 {
		return "", nil
	}
	owner := r.some().owner()
	r.repo.Apps = slices.DeleteFunc(r.repo.Apps, func(a releaseApp) bool { return a.owner() == owner })
	return "remove " + owner, nil
}

// moves an application's files to another folder.
func (r *releaseWorld) moves() (string, func()) {
	all, dir := r.those(), "apps/"+r.repo.name("dir")
	for _, a := range all {
		a.Dir = dir
	}
	return "move " + all[0].owner() + " to " + dir, nil
}

// modes are those of an application that something moves.
func (r *releaseWorld) modes(a releaseApp) []string {
	switch {
	case a.Layout == "twins": // who is asked of one alone is asked of no move
		return []string{"automatic"}
	case r.pulls != nil && len(a.Images) == 1:
		return []string{"automatic", "pullRequest", "pullRequest", "batch", "batch", "manual"}
	case r.pulls != nil:
		return []string{"automatic", "pullRequest", "pullRequest", "pullRequest", "manual"}
	default:
		return []string{"automatic", "automatic", "manual"}
	}
}

func (r *releaseWorld) changesMode() (string, func()) {
	all := r.those()
	mode := anyOf(r.rng, append(r.modes(*all[0]), "never"))
	for _, a := range all {
		a.Mode = mode
	}
	return "have " + all[0].owner() + " be " + mode, nil
}

func (r *releaseWorld) changesTrack() (string, func()) {
	all := r.those()
	for _, a := range all {
		a.Wide = !a.Wide
	}
	return fmt.Sprintf("have %s want more: %v", all[0].owner(), all[0].Wide), nil
}

func (r *releaseWorld) suspends() (string, func()) {
	all := r.those()
	for _, a := range all {
		a.Suspended = !a.Suspended
	}
	return fmt.Sprintf("suspend %s: %v", all[0].owner(), all[0].Suspended), nil
}

// reverts has a reference be what it was before the automator moved it.
func (r *releaseWorld) reverts() (string, func()) {
	var all []slot
	for _, s := range r.repo.slots() {
		if r.wrote[s] == r.refs[s] && slices.ContainsFunc(r.former[s], func(f ref) bool { return f != r.refs[s] }) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	s := anyOf(r.rng, all)
	from, to := r.refs[s], r.refs[s]
	for to == from {
		to = anyOf(r.rng, r.former[s])
	}
	r.refs[s] = to
	return fmt.Sprintf("revert %s of %s from %s to %s", s.image, s.owner, from.tag, to.tag), func() {
		if r.left[s] == nil {
			r.left[s] = map[string]bool{}
		}
		r.left[s][from.digest] = true
		r.handled(s)
	}
}

// handled says that a person has set a reference.
func (r *releaseWorld) handled(s slot) {
	r.hands[s] = true
	delete(r.wrote, s)
	delete(r.left[s], r.refs[s].digest)
}

// pins has a reference be any that its rule may want.
func (r *releaseWorld) pins() (string, func()) {
	s := anyOf(r.rng, r.repo.slots())
	var tags []string
	for tag, digests := range r.tags[s.image] {
		if _, ok := streamOf(s.image).order(tag, true); ok && !r.gone[digests[len(digests)-1]] {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	tag := anyOf(r.rng, tags)
	r.refs[s] = ref{tag, anyOf(r.rng, r.tags[s.image][tag])}
	return fmt.Sprintf("pin %s of %s to %s", s.image, s.owner, tag), func() { r.handled(s) }
}

// deletes has an image that nothing uses deleted from the registry.
func (r *releaseWorld) deletes() {
	r.t.Helper()
	s := anyOf(r.rng, streams)
	var tags []string
	for tag, digests := range r.tags[s.image] {
		digest := digests[len(digests)-1]
		used := slices.ContainsFunc(slices.Collect(maps.Values(r.refs)), func(f ref) bool { return f.digest == digest })
		if tag != s.first() && !s.moves && !used && !r.gone[digest] {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return
	}
	slices.Sort(tags)
	tag := anyOf(r.rng, tags)
	digest := r.tags[s.image][tag][len(r.tags[s.image][tag])-1]
	must(r.t, parts.DeleteImage(r.t.Context(), r.w.Registry.Addr, s.image, digest))
	r.gone[digest] = true
	r.say("  deleted %s:%s", s.image, tag)
}

// imagesUntold loses what the registry tells for a while.
func imagesUntold(c *chaos, rng *rand.Rand) {
	c.w.Door.HoldRegistry(true)
	time.Sleep(millis(rng, 2000))
	c.w.Door.HoldRegistry(false)
	c.say("  the registry is heard again")
}

func imagesToldAgain(c *chaos, rng *rand.Rand) {
	all := c.w.Door.FromRegistry()
	for range rng.IntN(12) {
		d := anyOf(rng, all)
		if err := parts.Eventually(c.t.Context(), patience, func() error { return c.tell(d) }); err != nil {
			c.t.Errorf("tell of an image: %v", err)
		}
	}
}

func hostIsOut(c *chaos, rng *rand.Rand) {
	time.Sleep(millis(rng, 500))
	away := millis(rng, 2000)
	c.git.deaf.Store(rng.IntN(2) == 0)
	c.say("  the Git host is out for %s; it does what it is asked for: %v", away.Round(time.Millisecond), !c.git.deaf.Load())
	c.git.out.Store(true)
	time.Sleep(away)
	c.git.out.Store(false)
}
