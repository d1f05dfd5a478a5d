package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// pushed is an image that was pushed.
type pushed struct{ repo, tag, digest string }

// users are the applications that use an image: the shop's, or the team's of
// that name.
func users(repo string) []string {
	switch repo {
	case local.WebImage:
		return []string{"local/shop/web"}
	case local.APIImage:
		return []string{"local/shop/api-production", "local/shop/api-staging"}
	default:
		return []string{"local/" + repo}
	}
}

// chaos is a separate world that is being disturbed, and what is known of it
// from the outside.
type chaos struct {
	t     *testing.T
	dir   string
	w     *local.World
	o     *local.Observer
	maria *local.Clone
	git   *gitHost // nil where it never goes away
	apps  int      // how many there are
	begun time.Time

	mu     sync.Mutex
	heard  []bus.Stored
	kills  map[string]int
	minor  map[string]int // of the last tag of each image
	all    []pushed
	single []pushed          // pushed alone and waited for: each is in exactly one commit
	notes  map[string]string // a person's config maps by name
	wrote  []string          // subjects of a person's commits
}

// newChaos starts the parts of a world; its processes are started by begin.
func newChaos(t *testing.T, o local.Options) *chaos {
	t.Helper()
	must(t, parts.Build(t.Context(), nil))
	c := &chaos{
		t: t, dir: t.TempDir(), apps: 3, begun: time.Now(), kills: map[string]int{},
		minor: map[string]int{}, notes: map[string]string{},
	}
	if keep := os.Getenv("SLIPWAY_FAULTS_KEEP"); keep != "" {
		c.dir = filepath.Join(keep, t.Name())
	}
	o.Dir, o.Bin, o.Separate, o.Idle = c.dir, programs(t), true, true // with Scale, Separate says nothing
	var err error
	c.w, err = local.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			c.tails()
		}
		c.w.Stop()
	})
	return c
}

// tails shows the end of each log.
func (c *chaos) tails() {
	for _, p := range c.w.Processes {
		c.t.Logf("--- %s:\n%s", p.Name, p.Tail(25))
	}
}

// begin starts the processes and waits for the shop's first state.
func (c *chaos) begin() {
	c.t.Helper()
	for _, p := range c.w.Processes {
		must(c.t, p.Start())
	}
	c.settle()
}

// settle waits until everything that was started is ready, and the shop too;
// it listens to the bus from the first time on.
func (c *chaos) settle() {
	c.t.Helper()
	must(c.t, c.w.Ready(c.t.Context()))
	must(c.t, c.w.Bootstrap(c.t.Context()))
	must(c.t, c.w.AllReady(c.t.Context(), c.apps, nil))
	var err error
	if c.o == nil {
		c.o, err = c.w.Observe(c.t.Context())
		must(c.t, err)
		ctx, end := context.WithCancel(c.t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.listen(ctx) }()
		c.t.Cleanup(func() { end(); <-done; c.o.Close() })
		c.maria, err = c.w.Clone(c.t.Context(), "maria")
		must(c.t, err)
	}
	c.say("the shop is ready")
}

func (c *chaos) listen(ctx context.Context) {
	for s, err := range c.o.Bus.Read(ctx, bus.ReadOptions{Follow: true}) {
		if err != nil {
			return
		}
		c.mu.Lock()
		c.heard = append(c.heard, s)
		c.mu.Unlock()
	}
}

// events are those heard so far.
func (c *chaos) events() []bus.Stored {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heard)
}

func (c *chaos) say(format string, args ...any) {
	c.t.Logf("%6.2fs "+format, append([]any{time.Since(c.begun).Seconds()}, args...)...)
}

// push pushes an image at the next tag of its repository.
func (c *chaos) push(repo string) pushed {
	c.t.Helper()
	c.mu.Lock()
	c.minor[repo]++
	tag := "1." + strconv.Itoa(c.minor[repo]) + ".0"
	c.mu.Unlock()
	return c.pushTag(repo, tag)
}

func (c *chaos) pushTag(repo, tag string) pushed {
	c.t.Helper()
	digest, err := c.w.Push(c.t.Context(), repo, tag)
	if err != nil {
		c.t.Errorf("push %s:%s: %v", repo, tag, err)
	}
	p := pushed{repo, tag, digest}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
	return p
}

func (c *chaos) reference(p pushed) string { return c.w.Image(p.repo, p.tag) + "@" + p.digest }

// arrives waits until every application that uses the image was told to run
// it, healthy.
func (c *chaos) arrives(images ...pushed) {
	c.t.Helper()
	began := time.Now()
	for _, p := range images {
		for _, app := range users(p.repo) {
			err := parts.Eventually(c.t.Context(), patience, func() error {
				if len(c.services(app, c.reference(p))) == 0 {
					return errors.New("it was not told to run")
				}
				return nil
			})
			if err != nil {
				c.t.Fatalf("%s in %s: %v\n%s", c.reference(p), app, err, c.story(p))
			}
		}
	}
	c.say("  arrived after %s", time.Since(began).Round(time.Millisecond))
}

// services are the events by which an application was told to run an image.
func (c *chaos) services(app, reference string) []bus.Stored {
	var all []bus.Stored
	for _, s := range c.events() {
		p, ok := s.Event.Payload.(events.ServiceEvent)
		if !ok || p.Application != app || p.Kind == events.ServiceRemovedType {
			continue
		}
		image, err := events.ParseImage(reference, nil)
		if err == nil && p.Artifact == events.ImagePURL(image) {
			all = append(all, s)
		}
	}
	return all
}

// story is what was heard of an image, for a test that failed.
func (c *chaos) story(p pushed) string {
	chains := map[string]bool{}
	var b strings.Builder
	for _, s := range c.events() {
		if a, ok := s.Event.Payload.(events.ArtifactPublished); ok && a.Digest == p.digest {
			chains[s.Event.ChainID] = true
		}
		if chains[s.Event.ChainID] {
			fmt.Fprintf(&b, "%s %s %s\n", s.StoredAt.Format(time.StampMilli), s.Event.Type().Short(), s.Event.Payload.SubjectID())
		}
	}
	return b.String()
}

// kill ends a process as kill -9 does after one delay, and starts it again
// after another. Wait for it by done.
func (c *chaos) kill(name string, after, away time.Duration) (done <-chan struct{}) {
	c.say("  kill %s after %s for %s", name, after.Round(time.Millisecond), away.Round(time.Millisecond))
	c.mu.Lock()
	c.kills[name]++
	c.mu.Unlock()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		time.Sleep(after)
		p := c.w.Process(name)
		if !p.Running() {
			c.t.Errorf("%s ended by itself:\n%s", name, p.Tail(15))
		}
		p.Kill()
		time.Sleep(away)
		if err := p.Start(); err != nil {
			c.t.Error(err)
		}
	}()
	return finished
}

// writes commits and pushes as a person does.
func (c *chaos) writes(subject string, files map[string]string) {
	c.t.Helper()
	c.mu.Lock()
	c.wrote = append(c.wrote, subject)
	c.mu.Unlock()
	must(c.t, c.maria.Commit(c.t.Context(), subject, files))
	must(c.t, c.maria.Push(c.t.Context()))
}

// notes writes a config map into the web application, and takes one away at
// times.
func (c *chaos) note(rng *rand.Rand) (name string) {
	c.t.Helper()
	name = "note-" + strconv.Itoa(len(c.wrote))
	file := func(name string) string { return "apps/web/" + name + ".yaml" }
	files := map[string]string{file(name): "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {by: maria}\n"}
	for old := range c.notes {
		if rng.IntN(3) == 0 {
			files[file(old)] = ""
			delete(c.notes, old)
			break
		}
	}
	c.notes[name] = file(name)
	c.writes("a person adds "+name, files)
	return name
}

// history gives the commits of all config repos' branches, the newest of each
// first, as the Git host has them.
func (c *chaos) history() []commit {
	c.t.Helper()
	all := c.historyOf(local.Repo)
	for repo := range c.w.RepoURLs {
		all = append(all, c.historyOf(repo)...)
	}
	return all
}

func (c *chaos) historyOf(repo string) []commit {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "git", "--git-dir", filepath.Join(c.dir, "git", repo+".git"), "log", "--format="+historyFormat, "main")
	out, err := cmd.Output()
	must(c.t, err)
	return commitsOf(string(out))
}

const historyFormat = "%H%x00%B%x01" // of git log

func commitsOf(log string) (all []commit) {
	for entry := range strings.SplitSeq(strings.TrimSpace(log), "\x01") {
		hash, message, ok := strings.Cut(strings.TrimSpace(entry), "\x00")
		if ok {
			all = append(all, commit{hash, message})
		}
	}
	return all
}

type commit struct{ hash, message string }

// ends are the application and image of each chain that a commit names.
func (m commit) ends() []string {
	var all []string
	for line := range strings.Lines(m.message) {
		if rest, ok := strings.CutPrefix(line, "Slipway-Chain: "); ok {
			_, end, _ := strings.Cut(strings.TrimSpace(rest), " ")
			all = append(all, end)
		}
	}
	return all
}
