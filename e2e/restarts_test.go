package e2e_test

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
)

// TestRestartsInAnyOrder starts the processes in seeded orders, each first
// alone, and then an image goes all the way. At the end a person pushes while
// nobody listens to the Git host, which tells once: the sweep finds it.
func TestRestartsInAnyOrder(t *testing.T) {
	t.Parallel()
	rng := seed(t)
	c := newChaos(t, local.Options{Sweep: 3 * time.Second})
	for range 3 {
		order := make([]string, 0, len(local.Services))
		for _, i := range rng.Perm(len(local.Services)) {
			order = append(order, local.Services[i])
		}
		c.say("%s", strings.Join(order, ", "))
		for i, name := range order {
			must(t, c.w.Process(name).Start())
			alone := millis(rng, 300)
			if i == 0 {
				alone += time.Second // with nothing that it needs
			}
			time.Sleep(alone)
			must(t, c.w.Process(name).Check())
		}
		c.settle()
		c.arrives(c.alone(anImage(rng)))
		for _, i := range rng.Perm(len(local.Services)) {
			if p := c.w.Process(local.Services[i]); rng.IntN(2) == 0 {
				p.Kill()
			} else if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, name := range local.Services {
		must(t, c.w.Process(name).Start())
	}
	must(t, c.w.Ready(t.Context()))
	c.w.Process("git-receiver").Kill()
	c.inCluster(c.note(rng))
	must(t, c.w.Process("git-receiver").Start())
	c.rest()
	c.check(nil) // a sweep may tell of a push before its webhook, on a chain of its own
}

// spot is a talk in which a process may be killed, and about how many
// messages it has in a release.
type spot struct {
	victim   string
	proxy    func(*local.World) *local.Proxy
	messages int
}

func ofBus(name string) func(*local.World) *local.Proxy {
	return func(w *local.World) *local.Proxy { return w.BusProxy[name] }
}

var spots = []spot{
	{"automator", ofBus("automator"), 80},
	{"synchronizer", ofBus("synchronizer"), 80},
	{"registry-receiver", ofBus("registry-receiver"), 6},
	{"git-receiver", ofBus("git-receiver"), 6},
	{"bus", ofBus("automator"), 80},
	{"bus", ofBus("synchronizer"), 80},
	{"bus", ofBus("registry-receiver"), 6},
	{"automator", func(w *local.World) *local.Proxy { return w.RegistryProxy }, 6},
	{"synchronizer", func(w *local.World) *local.Proxy { return w.APIProxy }, 60},
}

// atMessage kills at a certain message of a release: over many rounds between
// any two that a process sends or gets. The message itself is lost.
func atMessage(c *chaos, rng *rand.Rand) {
	s := spots[rng.IntN(len(spots))]
	proxy, trap := s.proxy(c.w), c.trap(s.victim)
	var left atomic.Int32
	left.Store(int32(1 + rng.IntN(s.messages)))
	c.say("  kill %s at message %d", s.victim, left.Load())
	trap.at(proxy, func(local.Chunk) bool { return left.Add(-1) == 0 })
	restarted := trap.restart(millis(rng, 300))
	image := c.alone(anImage(rng))
	c.arrives(image)
	proxy.Hook(nil)
	trap.disarm()
	<-restarted
}

// restart starts the victim again when it has been killed for a while.
func (p *trap) restart(away time.Duration) (done <-chan struct{}) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		<-p.hit
		if process := p.c.w.Process(p.victim); !process.Running() {
			p.c.say("  %s was killed there", p.victim)
			time.Sleep(away)
			if err := process.Start(); err != nil {
				p.c.t.Error(err)
			}
		}
	}()
	return finished
}

// disarm makes a trap that nobody fell into harmless.
func (p *trap) disarm() {
	if p.taken.CompareAndSwap(false, true) {
		close(p.hit)
	}
}
