package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

// trap kills a process at one moment of a talk, once.
type trap struct {
	c      *chaos
	victim string
	hit    chan struct{}
	taken  atomic.Bool
}

func (c *chaos) trap(victim string) *trap {
	return &trap{c: c, victim: victim, hit: make(chan struct{})}
}

// spring kills the victim, and says whether this call did.
func (p *trap) spring() bool {
	if !p.taken.CompareAndSwap(false, true) {
		return false
	}
	p.c.w.Process(p.victim).Kill()
	p.c.mu.Lock()
	p.c.kills[p.victim]++
	p.c.mu.Unlock()
	close(p.hit)
	return true
}

// at springs the trap when a chunk matches, which then never arrives.
func (p *trap) at(proxy *local.Proxy, match func(local.Chunk) bool) {
	proxy.Hook(func(k local.Chunk) local.Fate {
		if !p.taken.Load() && match(k) && p.spring() {
			return local.Cut
		}
		return local.Pass
	})
}

// again waits for the trap and starts its victim again.
func (p *trap) again() {
	p.c.t.Helper()
	select {
	case <-p.hit:
	case <-time.After(patience):
		p.c.t.Fatalf("%s never came to that moment", p.victim)
	}
	p.c.say("  %s was killed there", p.victim)
	must(p.c.t, p.c.w.Process(p.victim).Start())
}

// says matches what a service says.
func says(text string) func(local.Chunk) bool {
	return func(k local.Chunk) bool { return k.FromService && bytes.Contains(k.Data, []byte(text)) }
}

// answered matches the bus's answer to what a service said: it is stored, and
// the service doesn't know.
func answered(text string) func(local.Chunk) bool {
	var said atomic.Bool
	return func(k local.Chunk) bool {
		if k.FromService {
			if bytes.Contains(k.Data, []byte(text)) {
				said.Store(true)
			}
			return false
		}
		return said.Load() && bytes.Contains(k.Data, []byte(`"stream":"SLIPWAY`))
	}
}

// gitGate is around git's server.
type gitGate struct {
	next  http.Handler
	after atomic.Pointer[func()] // called when a push has landed, before its answer
}

func (g *gitGate) around(next http.Handler) http.Handler {
	g.next = next
	return g
}

// ServeHTTP loses the answer to a push that somebody waits for.
func (g *gitGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") {
		if after := g.after.Swap(nil); after != nil {
			g.next.ServeHTTP(httptest.NewRecorder(), r)
			(*after)()
			panic(http.ErrAbortHandler)
		}
	}
	g.next.ServeHTTP(w, r)
}

// alone pushes an image that must be in exactly one commit.
func (c *chaos) alone(repo string) pushed {
	c.t.Helper()
	p := c.push(repo)
	c.single = append(c.single, p)
	return p
}

// window is one moment to be killed at.
type window struct {
	name string
	run  func(*chaos, *gitGate)
}

// TestWindowsOfTheWayToGit kills between two certain steps before a change is
// merged and told, where a kill at random seldom falls.
func TestWindowsOfTheWayToGit(t *testing.T) {
	t.Parallel()
	windows(t,
		window{"the push landed and its author died before the answer", pushedAndDead},
		window{"the push landed and its answer was lost", pushedAndDeaf},
		window{"the commit's event was stored and its author died", func(c *chaos, _ *gitGate) {
			c.die("automator", c.w.BusProxy["automator"], answered("slipway.change.merged."))
		}},
		window{"a tag is known and nobody was told to ask for it", func(c *chaos, _ *gitGate) {
			c.die("automator", c.w.BusProxy["automator"], says("slipwaywork.automator-images."))
		}},
		window{"the registry is being asked", func(c *chaos, _ *gitGate) {
			c.die("automator", c.w.RegistryProxy, says("/manifests/"))
		}},
		window{"a batch was stored and the bus died before the answer", batchAndDead},
	)
}

// TestWindowsOfTheWayToTheCluster does so after a change was merged.
func TestWindowsOfTheWayToTheCluster(t *testing.T) {
	t.Parallel()
	windows(t,
		window{"objects are being applied", applying},
		window{"the end was told and is not recorded, and a person pushes", toldAndDead},
		window{"it waits for health", waiting},
	)
}

func windows(t *testing.T, all ...window) {
	t.Helper()
	gate := &gitGate{}
	c := newChaos(t, local.Options{AroundGit: gate.around})
	c.begin()
	for _, w := range all {
		c.say("%s", w.name)
		w.run(c, gate)
	}
	c.check(c.rest())
}

// die lets a process die at a moment of a release, which arrives all the same.
func (c *chaos) die(victim string, proxy *local.Proxy, match func(local.Chunk) bool) {
	c.t.Helper()
	p := c.trap(victim)
	p.at(proxy, match)
	image := c.alone(local.WebImage)
	p.again()
	c.arrives(image)
	proxy.Hook(nil)
}

func pushedAndDead(c *chaos, gate *gitGate) {
	p := c.trap("automator")
	after := func() { p.spring() }
	gate.after.Store(&after)
	image := c.alone(local.APIImage)
	p.again()
	c.arrives(image)
}

func pushedAndDeaf(c *chaos, gate *gitGate) {
	lost := make(chan struct{})
	after := func() { close(lost) }
	gate.after.Store(&after)
	image := c.alone(local.WebImage)
	<-lost
	c.arrives(image)
}

// batchAndDead: a body of two pushes is stored as one batch, and told again
// since nobody heard so.
func batchAndDead(c *chaos, _ *gitGate) {
	image := c.alone(local.WebImage)
	c.arrives(image)
	delivery := twice(c.t, c.w.Door.FromRegistry(), image)
	p := c.trap("bus")
	p.at(c.w.BusProxy["registry-receiver"], func(k local.Chunk) bool {
		return !k.FromService && bytes.Contains(k.Data, []byte(`"batch":`))
	})
	done := make(chan error, 1)
	go func() {
		done <- parts.Eventually(c.t.Context(), patience, func() error { return c.tell(delivery) })
	}()
	p.again()
	must(c.t, <-done)
	must(c.t, c.tell(delivery))
	c.w.BusProxy["registry-receiver"].Hook(nil)
	seen := 0
	must(c.t, parts.Eventually(c.t.Context(), patience, func() error {
		seen = 0
		for _, s := range c.events() {
			if a, ok := s.Event.Payload.(events.ArtifactPublished); ok && strings.HasPrefix(a.DeliveryID, "batch-") {
				seen++
			}
		}
		if seen < 2 {
			return errors.New("the batch is not on the stream")
		}
		return nil
	}))
	if seen != 2 {
		c.t.Errorf("a batch of 2 is %d events on the stream", seen)
	}
}

// twice makes a delivery that tells of one push in two events.
func twice(t *testing.T, told []local.Delivery, image pushed) local.Delivery {
	t.Helper()
	for _, d := range told {
		var body struct {
			Events []map[string]any `json:"events"`
		}
		if json.Unmarshal(d.Body, &body) != nil || !bytes.Contains(d.Body, []byte(image.digest)) {
			continue
		}
		for _, e := range body.Events {
			target, _ := e["target"].(map[string]any)
			if target["tag"] != image.tag {
				continue
			}
			first, second := map[string]any{}, map[string]any{}
			for k, v := range e {
				first[k], second[k] = v, v
			}
			first["id"], second["id"] = "batch-1", "batch-2"
			data, err := json.Marshal(map[string]any{"events": []any{first, second}})
			must(t, err)
			d.Body = data
			return d
		}
	}
	t.Fatalf("the registry did not tell of %s", image.tag)
	return local.Delivery{}
}

// applying: the synchronizer dies at its first and its fourth word to the
// API server of a release.
func applying(c *chaos, _ *gitGate) {
	for _, word := range []int32{1, 4} {
		var words atomic.Int32
		var begun atomic.Bool
		c.w.BusProxy["synchronizer"].Hook(func(k local.Chunk) local.Fate {
			if says("slipwaylease.synchronizer-local.")(k) {
				begun.Store(true)
			}
			return local.Pass
		})
		c.die("synchronizer", c.w.APIProxy, func(k local.Chunk) bool {
			return begun.Load() && k.FromService && words.Add(1) == word
		})
		c.w.BusProxy["synchronizer"].Hook(nil)
	}
}

// toldAndDead: the events of the end are stored, the status isn't, and the
// branch has moved when the synchronizer comes back.
func toldAndDead(c *chaos, _ *gitGate) {
	proxy := c.w.BusProxy["synchronizer"]
	p := c.trap("synchronizer")
	p.at(proxy, answered("slipway.service.upgraded."))
	image := c.alone(local.WebImage)
	select {
	case <-p.hit:
	case <-time.After(patience):
		c.t.Fatal("nobody was told to run it")
	}
	c.notes["note-after-told"] = "apps/web/note-after-told.yaml"
	c.writes("a person adds note-after-told", map[string]string{
		"apps/web/note-after-told.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note-after-told}\ndata: {by: maria}\n",
	})
	p.again()
	proxy.Hook(nil)
	c.inCluster("note-after-told")
	c.arrives(image)
}

// waiting: who waits for health dies, once while the pods take their time and
// once until they are ready; the end is told once either way.
func waiting(c *chaos, _ *gitGate) {
	file := "apps/web/deployment.yaml"
	must(c.t, c.maria.Pull(c.t.Context()))
	before := read(c.t, c.maria, file)
	slow := strings.Replace(before, "    metadata:\n      labels:", "    metadata:\n      annotations: {e2e.slipway.dev/behaviour: ready-after=2s}\n      labels:", 1)
	c.writes("a person makes web slow", map[string]string{file: slow})
	for _, away := range []time.Duration{0, 4 * time.Second} {
		image := c.alone(local.WebImage)
		must(c.t, parts.Eventually(c.t.Context(), patience, func() error { return c.applied("web", image) }))
		c.w.Process("synchronizer").Kill()
		c.say("  killed while it waits for %s", image.tag)
		if len(c.services("local/shop/web", c.reference(image))) > 0 {
			c.t.Error("it was told to run before it was ready")
		}
		time.Sleep(away)
		must(c.t, c.w.Process("synchronizer").Start())
		c.arrives(image)
	}
	must(c.t, c.maria.Pull(c.t.Context()))
	now := read(c.t, c.maria, file)
	c.writes("a person makes web quick again", map[string]string{file: strings.Replace(now, "      annotations: {e2e.slipway.dev/behaviour: ready-after=2s}\n", "", 1)})
}
