package e2e_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
)

// fault is something that goes wrong for a while; run returns when it is over.
// No two of a round have a victim in common.
type fault struct {
	name    string
	victims []string
	run     func(*chaos, *rand.Rand)
}

func killed(name string) fault {
	return fault{"kill " + name, []string{name}, func(c *chaos, rng *rand.Rand) {
		<-c.kill(name, millis(rng, 900), millis(rng, 700))
	}}
}

func paused(name string) fault {
	return fault{"pause " + name, []string{name}, func(c *chaos, rng *rand.Rand) {
		after, away := millis(rng, 600), millis(rng, 4000)
		c.say("  %s is stopped after %s for %s", name, after.Round(time.Millisecond), away.Round(time.Millisecond))
		time.Sleep(after)
		if err := c.w.Process(name).Pause(); err != nil {
			c.t.Error(err)
		}
		time.Sleep(away)
		if err := c.w.Process(name).Resume(); err != nil {
			c.t.Error(err)
		}
	}}
}

// rounds has one after the other until the time is over, or the test has failed, and gives
// how many there were.
func (c *chaos) rounds(during time.Duration, round func()) (n int) {
	for until := time.Now().Add(during); time.Now().Before(until) && !c.t.Failed(); n++ {
		c.say("round %d", n)
		round()
	}
	return n
}

// areReady errs unless each of the processes says that it is ready.
func (c *chaos) areReady(names []string) error {
	for _, name := range names {
		if err := c.w.Process(name).Ready(c.t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// isOut cuts what is behind a proxy off for a while.
func isOut(what string, behind func(*local.World) *local.Proxy) func(*chaos, *rand.Rand) {
	return func(c *chaos, rng *rand.Rand) {
		time.Sleep(millis(rng, 500))
		away := millis(rng, 2500)
		c.say("  %s is out for %s", what, away.Round(time.Millisecond))
		behind(c.w).Hook(func(local.Chunk) local.Fate { return local.Cut })
		time.Sleep(away)
		behind(c.w).Hook(nil)
	}
}

// suffers begins up to three of the faults, and gives what waits for their end.
func (c *chaos) suffers(rng *rand.Rand, faults []fault) (wait func()) {
	var all sync.WaitGroup
	victims := map[string]bool{}
	for range rng.IntN(4) {
		f := anyOf(rng, faults)
		if slices.ContainsFunc(f.victims, func(v string) bool { return victims[v] }) {
			continue
		}
		for _, v := range f.victims {
			victims[v] = true
		}
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		all.Go(func() { f.run(c, own) })
	}
	return all.Wait
}
