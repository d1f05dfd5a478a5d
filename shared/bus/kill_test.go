package bus_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// childVariable makes the test's binary a service: "subscriber URL" or
// "worker URL".
const childVariable = "SLIPWAY_BUS_TEST_CHILD"

// runChild tells on its output of each handler's start, then hangs in it,
// where the event or item is "bad", until it is killed.
func runChild(what string) int {
	role, url, _ := strings.Cut(what, " ")
	ctx := context.Background()
	b, err := bus.Connect(ctx, bus.Options{Name: role, URL: url, Log: bustest.Silent()})
	if err == nil && role == "subscriber" {
		err = b.Subscribe(ctx, killed, func(_ context.Context, e events.Event) error { return meet(e.ID) })
	}
	if err == nil && role == "worker" {
		var q *bus.Queue
		if q, err = b.Queue(ctx, "kill", leased); err == nil {
			err = q.Run(ctx, func(_ context.Context, w bus.Work) error { return meet(w.Key) })
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

var (
	killed = bus.Subscription{Name: "kill", AckWait: 500 * time.Millisecond, Concurrency: 4}
	leased = bus.QueueOptions{LeaseTTL: time.Second}
)

func meet(id string) error {
	fmt.Println(id)
	if strings.HasPrefix(id, "bad") {
		select {}
	}
	return nil
}

// child is a killed-to-be process.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

func startChild(t *testing.T, role, url string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), lines: make(chan string, 100)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+role+" "+url)
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for {
			var line string
			if _, err := fmt.Fscanln(out, &line); err != nil {
				return
			}
			c.lines <- line
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be dead already
	_ = c.cmd.Wait()         // "signal: killed" is what we want
	for range c.lines {
	}
}

// TestKilledSubscriber kills the process in the handler of one event while
// three others run beside it: only the one may become a dead letter.
func TestKilledSubscriber(t *testing.T) {
	server := bustest.Server(t)
	b := bustest.Connect(t, server.URL())
	for i := range 3 {
		if err := b.Publish(t.Context(), bustest.Artifact(t, fmt.Sprint("good-", i), "shop/web")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Publish(t.Context(), bustest.Artifact(t, "bad", "shop/web")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c := startChild(t, "subscriber", server.URL())
		for bustest.Receive(t, "the bad event", c.lines) != "bad" {
		}
		bustest.Until(t, "the acknowledgement of the others", func() bool {
			n, err := b.Unacknowledged(t.Context(), killed.Name)
			return err == nil && n == 1
		})
		c.kill()
	}
	var all []string
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Subscribe(ctx, killed, func(_ context.Context, e events.Event) error {
			all = append(all, e.ID)
			return nil
		})
	}()
	var letters []bus.DeadLetter
	bustest.Until(t, "the dead letter", func() bool {
		var err error
		if letters, err = b.Dead(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(letters) == 1
	})
	cancel()
	if err := bustest.Receive(t, "the end", done); err != nil {
		t.Fatal(err)
	}
	if l := letters[0]; l.Event.ID != "bad" || !strings.Contains(l.Reason, "killed its handler 3 times") {
		t.Errorf("letter: %+v", l)
	}
	if len(all) > 0 {
		t.Errorf("came again: %v", all)
	}
}

// TestKilledInnocents kills a process with events in all of its places, three
// times over, where one of them is the culprit: the others must live.
func TestKilledInnocents(t *testing.T) {
	server := bustest.Server(t)
	b := bustest.Connect(t, server.URL())
	for i := range 4 { // they all hang, but only one is seen when it dies alone
		if err := b.Publish(t.Context(), bustest.Artifact(t, fmt.Sprint("bad-", i), "shop/web")); err != nil {
			t.Fatal(err)
		}
	}
	c := startChild(t, "subscriber", server.URL())
	for range 4 {
		bustest.Receive(t, "an event", c.lines)
	}
	c.kill()
	// From now on they are suspects: one at a time.
	var culprit string
	for i := range 2 {
		c := startChild(t, "subscriber", server.URL())
		if met := bustest.Receive(t, "a suspect", c.lines); i == 0 {
			culprit = met
		}
		c.kill()
	}
	handled := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Subscribe(ctx, killed, func(_ context.Context, e events.Event) error {
			handled <- e.ID
			return nil
		})
	}()
	for range 3 {
		bustest.Receive(t, "an innocent event", handled)
	}
	cancel()
	if err := bustest.Receive(t, "the end", done); err != nil {
		t.Fatal(err)
	}
	letters, err := b.Dead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(letters) > 1 {
		t.Errorf("culprit %s, letters: %v", culprit, letters)
	}
}

func TestKilledWorker(t *testing.T) {
	server := bustest.Server(t)
	b := bustest.Connect(t, server.URL())
	q, err := b.Queue(t.Context(), "kill", leased)
	if err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "worker", server.URL())
	if err := q.Put(t.Context(), "bad", "x"); err != nil {
		t.Fatal(err)
	}
	bustest.Receive(t, "the child's work", c.lines)
	got := make(chan bus.Work, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- q.Run(ctx, func(_ context.Context, w bus.Work) error { got <- w; return nil })
	}()
	if err := q.Put(ctx, "other", "x"); err != nil {
		t.Fatal(err)
	}
	bustest.Until(t, "a replica at work", func() bool { return len(got) > 0 || len(c.lines) > 0 })
	c.kill()
	began := time.Now()
	w := bustest.Receive(t, "the taken over work", got)
	for w.Key != "bad" {
		w = bustest.Receive(t, "the taken over work", got)
	}
	took := time.Since(began)
	t.Logf("taken over %s after the kill", took)
	if took > leased.LeaseTTL+7*time.Second { // AckWait is ten
		t.Errorf("taken over after %s", took)
	}
	cancel()
	if err := bustest.Receive(t, "the end", done); err != nil {
		t.Fatal(err)
	}
}
