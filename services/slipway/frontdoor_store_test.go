package slipway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// lossy is a way to the bus that can be made to lose what comes back, or all,
// or to hold up what comes back.
type lossy struct {
	loseBack, loseAway, delay atomic.Bool
}

// slowness is more than a sender waits.
const slowness = 4 * time.Second

func newLossy(t *testing.T) *lossy { t.Helper(); return &lossy{} }

func (l *lossy) open(t *testing.T, url string) string {
	t.Helper()
	return relay(t, url, func(in, out net.Conn) {
		go l.pump(out, in, &l.loseAway)
		go l.pump(in, out, &l.loseBack)
	})
}

// relay stands before a bus; carry brings what comes in to it, and back.
func relay(t *testing.T, url string, carry func(in, out net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			carry(in, out)
		}
	}()
	return "nats://" + l.Addr().String()
}

func (l *lossy) pump(to, from net.Conn, lose *atomic.Bool) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if lose.Load() {
			continue
		}
		if lose == &l.loseBack && l.delay.Load() {
			<-time.After(slowness)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// later holds that a hook is told to come again, before its sender gives up.
func (f *front) later(t *testing.T, name string, h hook, within time.Duration) {
	t.Helper()
	began := time.Now()
	got := f.send(t, h)
	if took := time.Since(began); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || took > within {
		t.Errorf("%s: %d, Retry-After %q, after %s", name, got.status, got.header.Get("Retry-After"), took)
	}
}

func TestZ29WhatIsNotStoredIs503AndTheRepeatIsStoredOnce(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	f := newFront(t, frontOptions{busURL: func(url string) string { return l.open(t, url) }})
	for _, h := range []hook{github(push).signed(), registryHook("distribution", envelope("1", "2", "3"))} {
		before := len(f.stored(t))
		events := 1
		if h.source == "distribution" {
			events = 3
		}
		l.loseAway.Store(true)
		f.later(t, "nothing answers", h, hangs)
		if n := len(f.stored(t)) - before; n != 0 {
			t.Errorf("%d stored", n)
		}
		l.loseAway.Store(false)
		l.loseBack.Store(true)
		f.later(t, "the ack is lost", h, hangs)
		l.loseBack.Store(false)
		for range 2 {
			var got reply
			bustest.Until(t, "the repeat is taken", func() bool { got = f.send(t, h); return got.status == http.StatusAccepted })
		}
		if n := len(f.stored(t)) - before; n != events {
			t.Errorf("%s: %d events were stored, want %d", h.source, n, events)
		}
	}
	f.server.Stop()
	h := github(push + " ").signed()
	f.later(t, "away", h, hangs)
	f.server.Start(t)
	bustest.Until(t, "the bus is back", func() bool { return f.send(t, h).status == http.StatusAccepted })
}

// A slow bus may have stored what it could not say in time: the repeat is told
// the same.
func TestZ29ASlowBusIs503InTime(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	f := newFront(t, frontOptions{busURL: func(url string) string { return l.open(t, url) }})
	for i, h := range []hook{github(push).signed(), registryHook("distribution", envelope("1", "2", "3"))} {
		l.delay.Store(true)
		f.later(t, h.source, h, hangs)
		l.delay.Store(false)
		var got reply
		bustest.Until(t, "the repeat is taken", func() bool { got = f.send(t, h); return got.status == http.StatusAccepted })
		if again := f.send(t, h); again.body != got.body {
			t.Errorf("%s: answers differ: %s and %s", h.source, got.body, again.body)
		}
		if n, want := len(f.stored(t)), []int{1, 4}[i]; n != want {
			t.Errorf("%s: %d events are stored, want %d", h.source, n, want)
		}
	}
}

func TestZ29AFullBusIs503AtOnceAndTheRepeatHasTheSameIds(t *testing.T) {
	t.Parallel()
	for _, h := range []hook{github(push).signed(), registryHook("distribution", envelope("1", "2", "3"))} {
		// What the answer would be, from receivers whose bus has room.
		want := newFront(t, frontOptions{}).send(t, h)
		f := newFront(t, frontOptions{})
		f.server.Limit(t, 100) // bytes: none of the events
		for range 2 {
			f.later(t, h.source, h, time.Second)
		}
		if n := len(f.stored(t)); n != 0 {
			t.Errorf("%s: %d events are stored", h.source, n)
		}
		f.server.Limit(t, -1)
		for range 2 {
			if got := f.send(t, h); got.status != http.StatusAccepted || got.body != want.body {
				t.Errorf("%s: with room: %d %s, want %s", h.source, got.status, got.body, want.body)
			}
		}
		if n, events := len(f.stored(t)), strings.Count(want.body, `"id"`); n != events || n == 0 {
			t.Errorf("%s: %d events are stored, want %d", h.source, n, events)
		}
	}
}

func TestZ29ARequestUnderWayIsFinishedAtShutdown(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	finishes(t, f, func() <-chan error {
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
			defer cancel()
			done <- f.http.Shutdown(ctx)
		}()
		return done
	})
}

// finishes holds that a request whose body is being read when the front door
// is told to end is taken.
func finishes(t *testing.T, f *front, end func() <-chan error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	h := github(push).signed()
	fmt.Fprintf(conn, "POST /hooks/github HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n", len(h.body))
	_ = h.header.Write(conn)
	fmt.Fprint(conn, "\r\n")
	first := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err) // the body is being read
	}
	done := end()
	bustest.Until(t, "no new connection is taken", func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	_, _ = conn.Write(h.body)
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 202 ")) || len(f.stored(t)) != 1 {
		t.Errorf("answered %q, %v, stored %d", got, err, len(f.stored(t)))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
