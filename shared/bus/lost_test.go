package bus_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// deaf stands before a server and, when told to, loses what it says.
type deaf struct {
	addr string
	lose atomic.Bool
}

func newDeaf(t *testing.T, server string) *deaf {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := &deaf{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", strings.TrimPrefix(server, "nats://"))
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, client); to.Close() }()
			go func() { _, _ = io.Copy(d.to(client), to); client.Close() }()
		}
	}()
	return d
}

func (d *deaf) to(w io.Writer) io.Writer { return lossy{d, w} }

type lossy struct {
	d *deaf
	w io.Writer
}

func (l lossy) Write(p []byte) (int, error) {
	if l.d.lose.Load() {
		return len(p), nil
	}
	return l.w.Write(p)
}

// A request whose answer was lost is repeated, however long its caller would
// wait: the work of a key would otherwise stand still for its whole time-out.
func TestALostAnswerOfABucketIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, opened := range map[string]bool{"it is open": true, "it is to be opened anew": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := bustest.Server(t)
			proxy := newDeaf(t, server.URL())
			b := bustest.Connect(t, "nats://"+proxy.addr)
			k, err := b.Bucket(t.Context(), "lost", bus.BucketOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Put(t.Context(), "a", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if !opened {
				b.ForgetBuckets()
			}
			proxy.lose.Store(true)
			time.AfterFunc(300*time.Millisecond, func() { proxy.lose.Store(false) })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			began := time.Now()
			e, err := k.Get(ctx, "a")
			if err != nil || string(e.Value) != "1" {
				t.Errorf("got %q, %v", e.Value, err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
