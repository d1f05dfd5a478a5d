package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
)

// away is for how long each fault of a machine lasts: a few seconds, or
// SLIPWAY_FAULTS_DURATION.
func away(t *testing.T) time.Duration {
	t.Helper()
	return duration(t, 3*time.Second)
}

// network is three machines, each a network namespace. Where there can't be
// any, the test says so; in CI it fails.
func network(t *testing.T) *local.Network {
	t.Helper()
	n, err := local.NewNetwork(scaledReplicas)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT RUN, nothing is known of a network that breaks: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// machineFaults are what happens to machine i of three; mend undoes it.
var machineFaults = []struct {
	name string
	run  func(c *chaos, n *local.Network, i int) (mend func())
}{
	{"a node of NATS is killed", func(c *chaos, _ *local.Network, i int) func() {
		return c.killAll(local.ReplicaName("bus", i))
	}},
	{"a replica of each service is killed", func(c *chaos, _ *local.Network, i int) func() {
		var names []string
		for _, service := range local.Services[1:] {
			names = append(names, local.ReplicaName(service, i))
		}
		return c.killAll(names...)
	}},
	// What is cut off still reaches the Git host, the registry and the API
	// server: it must not go on with work that others take over.
	{"a machine is cut off from the others", func(c *chaos, n *local.Network, i int) func() {
		must(c.t, n.Isolate(i, false))
		return func() { must(c.t, n.Mend()) }
	}},
	{"a machine is cut off from everything", func(c *chaos, n *local.Network, i int) func() {
		must(c.t, n.Isolate(i, true))
		return func() { must(c.t, n.Mend()) }
	}},
}

// killAll kills processes; what it gives starts them again.
func (c *chaos) killAll(names ...string) (start func()) {
	for _, name := range names {
		c.w.Process(name).Kill()
		c.kills[name]++
	}
	return func() {
		for _, name := range names {
			must(c.t, c.w.Process(name).Start())
		}
	}
}

// TestLosesAMachine has three machines, each with a node of NATS and a replica
// of each service, lose one of them, in part or altogether, while images are
// pushed: nothing is lost, nothing is done twice, and all repairs itself.
func TestLosesAMachine(t *testing.T) {
	t.Parallel()
	rng, lasts := seed(t), away(t)
	teams := local.Teams{Repos: 4, Applications: 2, Lent: true}
	n := network(t)
	c := newScaled(t, teams, n)
	c.begin()
	var last []pushed
	for round, fault := range machineFaults {
		last = c.loses(rng, n, teams, fmt.Sprintf("1.%d.0", round+1), fault.name, lasts, fault.run)
		if t.Failed() {
			return
		}
	}
	c.checkScaled(last)
}

// loses has a fault last for a time, in which images are pushed before it is
// mended, at a moment of the fault's first second.
func (c *chaos) loses(rng *rand.Rand, n *local.Network, teams local.Teams, tag, name string, lasts time.Duration, run func(*chaos, *local.Network, int) func()) []pushed {
	c.t.Helper()
	i := rng.IntN(scaledReplicas)
	pushed := make(chan []pushed, 1)
	go func() { pushed <- c.everywhere(teams, tag) }()
	time.Sleep(millis(rng, 500)) // the moment of the fault
	c.say("%s: machine %d", name, i+1)
	mend := run(c, n, i)
	time.Sleep(lasts) // it lasts for a time, whatever happens meanwhile
	images := <-pushed
	arrived := 0
	for _, p := range images {
		if len(c.services(users(p.repo)[0], c.reference(p))) > 0 {
			arrived++
		}
	}
	c.say("  %d of %d arrived before it was mended", arrived, len(images))
	mend()
	c.single = append(c.single, images...)
	c.arrives(images...)
	must(c.t, c.w.Ready(c.t.Context()))
	c.atRest()
	c.say("  all is at rest")
	return images
}
