package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

// gates are what a rule of a random repo wants but for the tags of a stream. At most one is
// there.
type gates struct {
	After, Follow string // applications
	Exact         string // a tag
	Frozen        bool
	Downgrade     bool
	TagOnly       bool // no digest is written
}

// yaml is the rule's track, and the fields that go with it.
func (g gates) yaml(track string) string {
	switch {
	case g.Follow != "":
		track = "{follow: local/shop/" + g.Follow + "}"
	case g.Exact != "":
		track = "{exact: \"" + g.Exact + "\"}"
	}
	text := "    track: " + track + "\n"
	switch {
	case g.After != "":
		text += "    after: {application: local/shop/" + g.After + "}\n"
	case g.Frozen:
		text += "    freeze: [{cron: \"* * * * *\", duration: 1h}]\n"
	case g.TagOnly:
		text += "    pin: tag\n"
	case g.Downgrade:
		text += "    allowDowngrade: true\n"
	}
	return text
}

// changesGates has a rule wait for another application, follow it, want one tag, be frozen,
// go to older versions, or none of these.
func (r *releaseWorld) changesGates() (string, func()) {
	all := r.those()
	a := all[0]
	g := r.gatesFor(a)
	for _, a := range all {
		a.gates = g
	}
	return fmt.Sprintf("have %s wait for %+v", a.owner(), g), func() {
		for _, s := range a.slots() {
			r.hands[s] = r.hands[s] || g.Follow != "" || g.Exact != "" || g.Downgrade // it may come to a version twice
		}
	}
}

func (r *releaseWorld) gatesFor(a *releaseApp) (g gates) {
	others := slices.DeleteFunc(slices.Clone(r.repo.Apps), func(b releaseApp) bool {
		return b.owner() == a.owner() || !slices.Contains(b.Images, a.Images[0])
	})
	var tags []string
	for tag := range r.tags[a.Images[0]] {
		if _, wanted := streamOf(a.Images[0]).order(tag, true); wanted {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	switch n := r.rng.IntN(9); {
	case n < 2 && len(others) > 0:
		g.After = anyOf(r.rng, others).Name
	case n < 4 && len(others) > 0:
		g.Follow = anyOf(r.rng, others).Name
	case n == 4 && len(a.Images) == 1 && len(tags) > 0:
		g.Exact = anyOf(r.rng, tags)
	case n == 5:
		g.Frozen = true
	case n == 6:
		g.Downgrade = true
	case n == 7 && (a.Layout == "plain" || a.Layout == "twins"):
		g.TagOnly = true
	}
	return g
}

// stays says why nothing of an owner's may move but what people move; empty where it may.
func (r *releaseWorld) stays(owner string) string {
	if r.repo.Broken {
		return "the rules can't be read"
	}
	for _, a := range r.repo.Apps {
		switch {
		case a.owner() != owner:
		case a.Frozen && a.Mode != "pullRequest" && a.Mode != "batch": // who merges says when
			return a.Name + " is frozen"
		case a.Suspended:
			return a.Name + " is suspended"
		case r.pulls.waits(a):
			return a.Name + " waits for its rollback"
		case a.Mode == "never":
			return a.Name + " is never to be moved"
		}
	}
	return ""
}

// breaks has the rules be such as can't be read, or mends them.
func (r *releaseWorld) breaks() (string, func()) {
	r.repo.Broken = !r.repo.Broken
	return fmt.Sprintf("break the rules: %v", r.repo.Broken), func() { r.broken = true }
}

// runs is what was told of an application.
type runs struct {
	images  map[string]ref
	healthy bool
	commit  string           // at which it was healthy last
	past    []map[string]ref // with which it was healthy before
}

// is says whether an image is one of those that ran.
func (f ref) is(tag, digest string) bool { return f.digest == digest || f.digest == "" && f.tag == tag }

// proved says whether an application was ever healthy with an image.
func (t *runs) proved(image, tag, digest string) bool {
	if t == nil {
		return false
	}
	return t.healthy && t.images[image].is(tag, digest) ||
		slices.ContainsFunc(t.past, func(p map[string]ref) bool { return p[image].is(tag, digest) })
}

// order is where a rule has a tag that points to a digest; ok is false for what it doesn't want.
func (r *releaseWorld) order(a releaseApp, image, tag, digest string) (n int, ok bool) {
	switch other := r.told[a.Follow]; {
	case a.Follow != "":
		return 0, other != nil && other.healthy && other.images[image].tag == tag && other.images[image].is(tag, digest)
	case a.Exact != "":
		return 0, tag == a.Exact
	}
	n, ok = streamOf(image).order(tag, a.Wide)
	return n, ok && (a.After == "" || r.told[a.After].proved(image, tag, digest))
}

// source is an application that others wait for or follow, or any.
func (r *releaseWorld) source() *releaseApp {
	var all []*releaseApp
	for i := range r.repo.Apps {
		a := &r.repo.Apps[i]
		if slices.ContainsFunc(r.repo.Apps, func(b releaseApp) bool { return b.After == a.Name || b.Follow == a.Name }) {
			all = append(all, a)
		}
	}
	if len(all) == 0 || r.rng.IntN(5) == 0 {
		return r.some()
	}
	return anyOf(r.rng, all)
}

// mayGoBack notes that an application may be rolled back.
func (r *releaseWorld) mayGoBack(a *releaseApp) {
	r.asked[a.owner()] = true
	for _, s := range a.slots() {
		r.hands[s] = true
	}
}

// tellsHealth says of an application what its synchronizer would: that it runs what the head
// has, and whether it is healthy with that.
func (r *releaseWorld) tellsHealth() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.head))
	a := r.source()
	if r.toldNow[a.Name] {
		return // what is told at once may be heard in any order
	}
	name, was := "local/shop/"+a.Name, r.told[a.Name]
	now := &runs{images: map[string]ref{}, healthy: r.rng.IntN(4) > 0}
	run := events.Run{Application: name, Commit: r.at}
	for _, s := range a.slots() {
		now.images[s.image] = r.refs[s]
		image := r.w.Registry.Addr + "/" + s.image + ":" + r.refs[s].tag
		if r.refs[s].digest != "" {
			image += "@" + r.refs[s].digest
		}
		run.Images = append(run.Images, image)
	}
	var payload events.Payload
	commit := ""
	if was != nil {
		commit = was.commit
	}
	switch {
	case was != nil && r.rng.IntN(4) == 0:
		now.images = was.images
		payload = events.Incident{Kind: map[bool]events.Type{true: events.IncidentResolvedType, false: events.IncidentDetectedType}[now.healthy], Environment: "local", Description: "it is tried", Application: name}
	case now.healthy:
		commit = r.at
		payload = events.PipelineRunFinished{Run: run, Outcome: events.Success}
	default:
		payload = events.PipelineRunFinished{Run: run, Outcome: events.Failure, Errors: "it crashes", LastHealthy: commit}
		r.mayGoBack(a)
	}
	now.commit = commit
	if was != nil {
		now.past = was.past
		if was.healthy && !maps.Equal(was.images, now.images) {
			now.past = append(now.past, was.images)
		}
	}
	at := time.Now()
	e, err := events.New(events.Meta{ID: fmt.Sprint(name, at.UnixNano()), Source: "/synchronizer/local", ChainID: "health", Time: at}, payload)
	must(r.t, err)
	must(r.t, parts.Eventually(r.t.Context(), patience, func() error { return r.o.Bus.Publish(r.t.Context(), e) }))
	r.told[a.Name], r.toldNow[a.Name] = now, true
	r.say("  told of %s: %v, healthy: %v", a.Name, now.images, now.healthy)
}
