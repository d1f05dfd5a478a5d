package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/freeport"
	"github.com/slipway-cd/slipway/shared/webhook"
)

const (
	frontKills  = 20
	frontSecret = "a secret of the front door"
)

// frontDoor is both receivers and NATS, each a process.
type frontDoor struct {
	t         *testing.T
	posts     int
	processes []*local.Process // bus, git-receiver, registry-receiver
	hooks     [2]string        // of the receivers
	busAddr   string
	accepted  atomic.Int64
	repeats   atomic.Int64
	mu        sync.Mutex
	ids       map[string]string // what was told with 202: the delivery by the event
}

// TestKilledFrontDoorLosesNothingItAccepted posts to both receivers while
// they and NATS are killed at seeded moments. Senders repeat on anything but
// 2xx; at the end each event that was told with a 202 is stored exactly once,
// and nothing else is. SLIPWAY_FAULTS_SEED repeats a schedule.
// With sync always the events of several requests are stored together.
func TestKilledFrontDoorLosesNothingItAccepted(t *testing.T) {
	for _, c := range []struct {
		name           string
		posts, senders int // senders for each receiver
		bus            []string
	}{
		{"default sync", 10_000, 16, nil},
		{"sync always", 5_000, 64, []string{"-sync-always"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := seed(t)
			f := startFrontDoor(t, c.posts, c.bus...)
			began := time.Now()
			var senders sync.WaitGroup
			for receiver := range f.hooks {
				next := &atomic.Int64{}
				for range c.senders {
					senders.Go(func() {
						for n := int(next.Add(1)); n <= c.posts/2; n = int(next.Add(1)) {
							f.deliver(receiver, n)
						}
					})
				}
			}
			f.kill(rng)
			senders.Wait()
			t.Logf("%d posts accepted in %s, %d tries repeated, %d kills", f.accepted.Load(), time.Since(began).Round(time.Millisecond), f.repeats.Load(), frontKills)
			f.check()
		})
	}
}

func startFrontDoor(t *testing.T, posts int, busArgs ...string) *frontDoor {
	t.Helper()
	f := &frontDoor{t: t, posts: posts, ids: map[string]string{}}
	dir := t.TempDir()
	bin := programs(t)
	secret := filepath.Join(dir, "secret")
	must(t, os.WriteFile(secret, []byte(frontSecret), 0o600))
	addr := func() string {
		addr, err := freeport.Address()
		must(t, err)
		return addr
	}
	f.busAddr = addr()
	f.processes = []*local.Process{local.NewProcess("bus", dir, filepath.Join(bin, "bus"),
		append([]string{"-dir", filepath.Join(dir, "jetstream"), "-addr", f.busAddr, "-token", secret}, busArgs...)...)}
	for i, name := range []string{"git-receiver", "registry-receiver"} {
		hooks, metrics, file := addr(), addr(), filepath.Join(dir, name+".yaml")
		f.hooks[i] = "http://" + hooks + "/hooks/"
		must(t, os.WriteFile(file, fmt.Appendf(nil, `data: %s
bus: {url: "nats://%s", credentials: {token: {file: %s}}}
listen: {hooks: %q, api: "127.0.0.1:0", metrics: %q}
receivers:
  sources:
  - {name: git, provider: github, secrets: [{file: %s}], rate: {perSecond: 100000, burst: 1000}}
  - {name: registry, provider: distribution, registry: registry.example.com, secrets: [{file: %s}], rate: {perSecond: 100000, burst: 1000}}
`, dir, f.busAddr, secret, hooks, metrics, secret, secret), 0o600))
		p := local.NewProcess(name, dir, filepath.Join(bin, name), file)
		p.MetricsURL = "http://" + metrics
		f.processes = append(f.processes, p)
	}
	for _, p := range f.processes {
		must(t, p.Start())
		t.Cleanup(p.Kill)
	}
	must(t, parts.Eventually(t.Context(), time.Minute, func() error {
		for _, p := range f.processes {
			if err := p.Ready(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}))
	return f
}

// kill waits until a seeded number of posts was accepted, kills, and starts
// again, until all posts are through.
func (f *frontDoor) kill(rng *rand.Rand) {
	var at []int64
	for range frontKills {
		at = append(at, rng.Int64N(int64(f.posts)*9/10))
	}
	slices.Sort(at)
	for _, n := range at {
		for f.accepted.Load() < n && !f.t.Failed() {
			time.Sleep(time.Millisecond)
		}
		p := f.processes[rng.IntN(len(f.processes))]
		time.Sleep(millis(rng, 20))
		p.Kill()
		time.Sleep(millis(rng, 200))
		must(f.t, p.Start())
		// A receiver that is not up again yet is no victim.
		must(f.t, parts.Eventually(f.t.Context(), time.Minute, func() error { return p.Ready(f.t.Context()) }))
	}
}

var frontClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// deliver sends one webhook until it is taken, as senders do.
func (f *frontDoor) deliver(receiver, n int) {
	header, body := delivery(receiver, n)
	source := []string{"git", "registry"}[receiver]
	for try := range 10_000 {
		if try > 0 {
			f.repeats.Add(1)
			time.Sleep(20 * time.Millisecond) // as a sender waits
		}
		req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.hooks[receiver]+source, bytes.NewReader(body))
		if err != nil {
			f.t.Error(err)
			return
		}
		req.Header = header.Clone()
		res, err := frontClient.Do(req)
		if err != nil {
			continue
		}
		answer, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode/100 == 4 {
			f.t.Errorf("%s %d: %s %s", source, n, res.Status, answer)
			return
		}
		if err == nil && res.StatusCode/100 == 2 {
			f.take(fmt.Sprint(source, " ", n), answer)
			return
		}
	}
	f.t.Errorf("%s %d was never taken", source, n)
}

func (f *frontDoor) take(name string, answer []byte) {
	var told struct {
		Events []struct{ ID string }
	}
	if err := json.Unmarshal(answer, &told); err != nil || len(told.Events) == 0 {
		f.t.Errorf("%s: the answer is %s: %v", name, answer, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range told.Events {
		if was, ok := f.ids[e.ID]; ok {
			f.t.Errorf("%s and %s got one id", was, name)
		}
		f.ids[e.ID] = name
	}
	f.accepted.Add(1)
}

// delivery is the n-th webhook for a receiver; one in 25 of a registry has
// three events, which are stored together.
func delivery(receiver, n int) (http.Header, []byte) {
	h := http.Header{"Content-Type": {"application/json"}}
	if receiver == 0 {
		body := fmt.Appendf(nil, `{"ref":"refs/heads/b%d","before":"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8","after":"e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98","repository":{"clone_url":"https://github.com/acme/config.git"}}`, n)
		h.Set("X-GitHub-Event", "push")
		h.Set("X-GitHub-Delivery", fmt.Sprint("delivery-", n))
		sign(gitreceiver.Providers(), "github", h, body)
		return h, body
	}
	items := 1
	if n%25 == 0 {
		items = 3
	}
	var all []string
	for i := range items {
		all = append(all, fmt.Sprintf(`{"id":"e%d-%d","timestamp":"2026-11-23T20:15:04Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%064d","repository":"shop/web","tag":"1.%d.%d"}}`, n, i, n, n, i))
	}
	body := []byte(`{"events":[` + strings.Join(all, ",") + `]}`)
	sign(registryreceiver.Providers(), "distribution", h, body)
	return h, body
}

func sign(table []webhook.Provider, name string, h http.Header, body []byte) {
	at := slices.IndexFunc(table, func(p webhook.Provider) bool { return p.Name == name })
	table[at].Sign(h, body, frontSecret, time.Now())
}

// check reads the stream: each event told is there once, and no other.
func (f *frontDoor) check() {
	t := f.t
	b, err := bus.Connect(t.Context(), bus.Options{Name: "check", URL: "nats://" + f.busAddr, Token: frontSecret, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer b.Close()
	times := map[string]int{}
	for s, err := range b.Read(t.Context(), bus.ReadOptions{}) {
		must(t, err)
		times[s.Event.ID]++
	}
	lost, doubled, foreign := 0, 0, 0
	for id := range f.ids {
		switch n := times[id]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
		delete(times, id)
	}
	foreign = len(times)
	if f.accepted.Load() != int64(f.posts) || lost+doubled+foreign > 0 {
		t.Errorf("of %d posts with %d events: %d accepted, %d events lost, %d doubled, %d never told", f.posts, len(f.ids), f.accepted.Load(), lost, doubled, foreign)
	}
	t.Logf("%d events stored once each", len(f.ids))
}
