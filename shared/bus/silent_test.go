package bus_test

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// quietLine stands before a server, and loses all that is said once it is silent,
// without an end of any connection: so does a network that breaks.
type quietLine struct {
	url    string
	silent atomic.Bool
}

func newQuietLine(t *testing.T, server string) *quietLine {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	q := &quietLine{url: "nats://" + l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			go q.carry(client, server)
			go q.carry(server, client)
		}
	}()
	return q
}

func (q *quietLine) carry(from, to net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if q.silent.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A node of a cluster that a network takes away says no word of it: whoever is
// connected to it finds another by itself, long before a minute has passed.
func TestASilentServerIsLeft(t *testing.T) {
	t.Parallel()
	cluster := bustest.StartCluster(t)
	line := newQuietLine(t, cluster[0].URL())
	b := bustest.Open(t, bus.Options{URL: line.url, Replicas: 3, Log: bustest.Silent()})
	line.silent.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Publish(ctx, bustest.Artifact(t, "after", "shop/web")); err != nil {
		t.Fatal(err)
	}
}
