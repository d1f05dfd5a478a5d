package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// seed is SLIPWAY_FAULTS_SEED, else new each time; it is shown.
func seed(t *testing.T) *rand.Rand {
	t.Helper()
	return seedOr(t, uint64(time.Now().UnixNano()))
}

// seedOr is SLIPWAY_FAULTS_SEED, else the one given.
func seedOr(t *testing.T, n uint64) *rand.Rand {
	t.Helper()
	if text := os.Getenv("SLIPWAY_FAULTS_SEED"); text != "" {
		var err error
		n, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("SLIPWAY_FAULTS_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// duration is SLIPWAY_FAULTS_DURATION, the time in which rounds begin, or what is
// enough at each change.
func duration(t *testing.T, enough time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("SLIPWAY_FAULTS_DURATION")
	if text == "" {
		return enough
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// search is a random one for who gives it time, and else a short one by a seed that has
// found faults.
func search(t *testing.T, foundFaults uint64) (rng *rand.Rand, end time.Duration) {
	t.Helper()
	if os.Getenv("SLIPWAY_FAULTS_DURATION") != "" {
		foundFaults = uint64(time.Now().UnixNano())
	}
	return seedOr(t, foundFaults), duration(t, 15*time.Second)
}

// round is one disturbance of the world; more of a weight come more often.
type round struct {
	name   string
	weight int
	run    func(*chaos, *rand.Rand)
}

var rounds = []round{
	{"one image", 4, oneImage},
	{"at a message", 6, atMessage},
	{"two images at once", 3, twoImages},
	{"a storm of tags", 2, storm},
	{"told again", 2, toldAgain},
	{"all down", 2, allDown},
	{"the bus restarts", 1, busRestarts},
	{"a person races", 3, personRaces},
	{"the registry is out", 2, out(func(w *local.World) *local.Proxy { return w.RegistryProxy })},
	{"the Git host is out", 2, gitIsOut},
	{"the cluster's API is out", 1, out(func(w *local.World) *local.Proxy { return w.APIProxy })},
}

// TestFaults kills services and NATS at seeded moments while images are
// pushed and a person commits, and holds at the end that nothing is lost and
// nothing done twice. SLIPWAY_FAULTS_SEED repeats a schedule,
// SLIPWAY_FAULTS_DURATION makes it longer.
func TestFaults(t *testing.T) {
	t.Parallel()
	rng, end := seed(t), duration(t, 40*time.Second)
	host := &gitHost{}
	c := newChaos(t, local.Options{AroundGit: host.around})
	c.git = host
	c.begin()
	var hat []round
	for _, r := range rounds {
		for range r.weight {
			hat = append(hat, r)
		}
	}
	for until := time.Now().Add(end); time.Now().Before(until) && !t.Failed(); {
		r := hat[rng.IntN(len(hat))]
		c.say("%s", r.name)
		r.run(c, rng)
	}
	if t.Failed() {
		return
	}
	c.check(c.rest())
}

func millis(rng *rand.Rand, most int) time.Duration {
	return time.Duration(rng.IntN(most*1000)) * time.Microsecond
}

func anImage(rng *rand.Rand) string {
	return []string{local.WebImage, local.APIImage}[rng.IntN(2)]
}

// disturb kills one to three processes, each at a moment of its part of the
// way, and gives what waits until they run again.
func (c *chaos) disturb(rng *rand.Rand) (wait func()) {
	var all []<-chan struct{}
	for _, i := range rng.Perm(len(local.Services))[:1+rng.IntN(3)] {
		name := local.Services[i]
		window := 150
		if name == "synchronizer" {
			window = 450 // it comes last
		}
		all = append(all, c.kill(name, millis(rng, window), millis(rng, 300)))
	}
	return func() {
		for _, done := range all {
			<-done
		}
	}
}

// oneImage: an image that nothing supersedes is in exactly one commit.
func oneImage(c *chaos, rng *rand.Rand) {
	wait := c.disturb(rng)
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	wait()
	c.arrives(p)
}

func twoImages(c *chaos, rng *rand.Rand) {
	wait := c.disturb(rng)
	images := make([]pushed, 2)
	var both sync.WaitGroup
	for i, repo := range []string{local.WebImage, local.APIImage} {
		both.Go(func() { images[i] = c.push(repo) })
	}
	both.Wait()
	c.single = append(c.single, images...)
	wait()
	c.arrives(images...)
}

// storm: tags that follow each other closely, beside some that no policy
// wants. Those between may be left out, the last not.
func storm(c *chaos, rng *rand.Rand) {
	wait, repo := c.disturb(rng), anImage(rng)
	var last pushed
	for range 2 + rng.IntN(3) {
		last = c.push(repo)
		switch rng.IntN(4) {
		case 0:
			c.pushTag(repo, "1.0."+strconv.Itoa(1+rng.IntN(50))) // older
		case 1:
			c.pushTag(repo, "2."+strconv.Itoa(rng.IntN(50))+".0") // out of range
		}
		time.Sleep(millis(rng, 80))
	}
	wait()
	c.arrives(last)
}

// toldAgain: what the registry told before is told again, several times and
// out of order, and changes nothing.
func toldAgain(c *chaos, rng *rand.Rand) {
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	wait := c.disturb(rng)
	told := c.w.Door.FromRegistry()
	for range 4 {
		delivery := told[rng.IntN(len(told))]
		for range 1 + rng.IntN(3) {
			err := parts.Eventually(c.t.Context(), patience, func() error { return c.tell(delivery) })
			if err != nil {
				c.t.Errorf("tell again: %v", err)
			}
		}
	}
	wait()
	c.arrives(p)
}

type refused int

func (r refused) Error() string { return "answered " + strconv.Itoa(int(r)) }

func (c *chaos) tell(d local.Delivery) error {
	status, _, err := c.w.Door.Tell(c.t.Context(), d)
	if err == nil && status != http.StatusAccepted {
		err = refused(status)
	}
	return err
}

// allDown: what happens while nothing runs is found at the start.
func allDown(c *chaos, rng *rand.Rand) {
	for _, i := range rng.Perm(len(local.Services)) {
		name := local.Services[i]
		c.w.Process(name).Kill()
		c.kills[name]++
	}
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	note := c.note(rng)
	for _, i := range rng.Perm(len(local.Services)) {
		must(c.t, c.w.Process(local.Services[i]).Start())
		c.say("  start %s", local.Services[i])
		time.Sleep(millis(rng, 300))
	}
	c.arrives(p)
	c.inCluster(note)
}

func busRestarts(c *chaos, rng *rand.Rand) {
	done := c.kill("bus", millis(rng, 150), millis(rng, 1000))
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	<-done
	c.arrives(p)
}

// out: what is pushed while a service can't reach what it asks, and while a
// person commits, arrives when it can again.
func out(proxy func(*local.World) *local.Proxy) func(*chaos, *rand.Rand) {
	return func(c *chaos, rng *rand.Rand) {
		wait := func() {}
		if rng.IntN(2) == 0 {
			wait = c.disturb(rng)
		}
		time.Sleep(millis(rng, 50))
		proxy(c.w).Hook(func(local.Chunk) local.Fate { return local.Cut })
		p := c.push(anImage(rng))
		c.single = append(c.single, p)
		note := c.note(rng)
		time.Sleep(millis(rng, 1500))
		proxy(c.w).Hook(nil)
		wait()
		c.arrives(p)
		c.inCluster(note)
	}
}

// gitHost goes away and comes back: what it is asked for is done, or not, and
// the answer is lost.
type gitHost struct{ out, deaf atomic.Bool }

func (g *gitHost) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.out.Load() {
			h.ServeHTTP(w, r)
			return
		}
		if !g.deaf.Load() {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	})
}

// gitIsOut: what can't be fetched or pushed, or seemed not to be, is in one
// commit and in the cluster when the host is back.
func gitIsOut(c *chaos, rng *rand.Rand) {
	wait := func() {}
	if rng.IntN(2) == 0 {
		wait = c.disturb(rng)
	}
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	time.Sleep(millis(rng, 120))
	c.git.deaf.Store(rng.IntN(2) == 0)
	c.git.out.Store(true)
	time.Sleep(millis(rng, 1500))
	c.git.out.Store(false)
	wait()
	c.arrives(p)
}

// personRaces: a person pushes to the branch that the automator pushes to.
func personRaces(c *chaos, rng *rand.Rand) {
	wait := c.disturb(rng)
	p := c.push(anImage(rng))
	c.single = append(c.single, p)
	time.Sleep(millis(rng, 120))
	c.note(rng)
	wait()
	c.arrives(p)
}
