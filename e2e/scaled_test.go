package e2e_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

const (
	scaledReplicas = 3
	scaledLatency  = 50 * time.Millisecond
)

// newScaled is a world of teams with three replicas of each service over a
// cluster of three nodes, where the Git host, the registry and the API server
// are far away.
func newScaled(t *testing.T, teams local.Teams, network *local.Network) *chaos {
	t.Helper()
	o := local.Options{Scale: &local.Scale{Replicas: scaledReplicas, Nodes: 3, Latency: scaledLatency, Concurrency: 2, Network: network}}
	teams.Set(&o)
	c := newChaos(t, o)
	c.apps = len(teams.All())
	return c
}

// everywhere pushes a tag of each application's image, side by side.
func (c *chaos) everywhere(teams local.Teams, tag string) []pushed {
	c.t.Helper()
	all := make([]pushed, len(teams.All()))
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	for i, app := range teams.All() {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			all[i] = c.pushTag(teams.Image(app), tag)
		})
	}
	wg.Wait()
	return all
}

// TestReplicasShareTheWork has three replicas of each service, three nodes of
// NATS, and a Git host, registry and API server that each take 50 ms longer:
// each replica does a part, and nothing is done twice, though all is told twice
// at once.
func TestReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	// More repos than one automator has places for a Git host (8), and more
	// applications than one synchronizer's (2).
	teams := local.Teams{Repos: 12, Applications: 2, Lent: true}
	c := newScaled(t, teams, nil)
	c.begin()
	c.w.Door.HoldRegistry(true)
	c.single = c.everywhere(teams, "1.1.0")
	must(t, parts.Eventually(t.Context(), patience, func() error { return local.ToldOf(c.w.Door.FromRegistry(), digests(c.single)) }))
	told := c.w.Door.FromRegistry()
	c.w.Door.HoldRegistry(false)
	c.say("%d webhooks are told, each twice", len(told))
	var wg sync.WaitGroup
	for range 2 {
		for _, d := range told {
			wg.Go(func() {
				if err := parts.Eventually(t.Context(), patience, func() error { return c.tell(d) }); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	c.arrives(c.single...)
	c.atRest()
	c.checkShares()
	c.checkScaled(c.single)
}

func digests(images []pushed) []string {
	var all []string
	for _, p := range images {
		all = append(all, p.digest)
	}
	return all
}

// atRest waits until nothing is left to do.
func (c *chaos) atRest() {
	c.t.Helper()
	err := parts.Eventually(c.t.Context(), patience, func() error { return errors.Join(c.queuesEmpty(), c.consumersIdle()) })
	if err != nil {
		c.t.Fatalf("there is no rest: %v", err)
	}
}

// checkScaled holds that each image is in one commit, told of and synced once,
// and that the cluster has the last of each.
func (c *chaos) checkScaled(last []pushed) {
	c.t.Helper()
	c.checkCommits()
	c.checkEvents()
	published := map[string]int{}
	for _, s := range c.events() {
		// A replica that starts sweeps, and may be faster than the registry.
		if p, ok := s.Event.Payload.(events.ArtifactPublished); ok && p.Provider != "sweep" {
			published[p.Repository+":"+p.Tag+"@"+p.Digest]++
		}
	}
	for _, p := range c.all {
		if n := published[p.repo+":"+p.tag+"@"+p.digest]; n != 1 {
			c.t.Errorf("the webhook of %s:%s made %d events", p.repo, p.tag, n)
		}
	}
	list, err := c.o.Clients.Dynamic.Resource(deploymentResource).Namespace("shop").List(c.t.Context(), metav1.ListOptions{})
	must(c.t, err)
	has := map[string]string{}
	for _, u := range list.Items {
		has["local/shop/"+u.GetName()] = imageOf(&u)
	}
	for _, p := range last {
		for _, app := range users(p.repo) {
			if has[app] != c.reference(p) {
				c.t.Errorf("%s has %s in the cluster, want %s", app, has[app], c.reference(p))
			}
		}
	}
	dead, err := c.o.Bus.Dead(c.t.Context())
	must(c.t, err)
	for _, d := range dead {
		c.t.Errorf("dead letter: %s", d)
	}
	c.say("%d images, %d commits, %d events; kills: %v", len(c.all), len(c.history()), len(c.events()), c.kills)
}

// checkShares holds that no replica has done all of any work, and that each has
// done what it can't be without: webhooks come in turn, and applications are
// more than two synchronizers have places for.
func (c *chaos) checkShares() {
	c.t.Helper()
	for _, kind := range []struct {
		service, metric string
		every           bool
	}{
		{"registry-receiver", `slipway_bus_published_total{type="dev.cdevents.artifact.published`, true},
		{"git-receiver", `slipway_bus_published_total{type="dev.cdeventsx.slipway-ref.updated`, true},
		{"automator", `slipway_bus_worked_total{outcome="done",queue="automator-repos"`, false},
		{"synchronizer", `slipway_bus_worked_total{outcome="done",queue="synchronizer-local"`, true},
	} {
		var shares []float64
		did := 0
		for i := range scaledReplicas {
			n := c.counted(c.w.Process(local.ReplicaName(kind.service, i)), kind.metric)
			shares = append(shares, n)
			if n > 0 {
				did++
			}
		}
		c.say("%s: %v", kind.service, shares)
		if did < 2 || kind.every && did < scaledReplicas {
			c.t.Errorf("%d of %d replicas of %s took part: %v", did, scaledReplicas, kind.service, shares)
		}
	}
}

// counted is the sum of a process's counters that begin so.
func (c *chaos) counted(p *local.Process, prefix string) float64 {
	c.t.Helper()
	text, err := p.Metrics(c.t.Context())
	must(c.t, err)
	sum := 0.0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			_, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			n, err := strconv.ParseFloat(value, 64)
			must(c.t, err)
			sum += n
		}
	}
	return sum
}
