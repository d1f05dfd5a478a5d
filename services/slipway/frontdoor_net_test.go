package slipway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// spy is a server that nobody should call.
type spy struct {
	url   string
	calls atomic.Int64
}

func (s *spy) times() int64 { return s.calls.Load() }

func newSpy(t *testing.T) *spy {
	t.Helper()
	s := &spy{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.calls.Add(1) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// padded is a push with blanks behind it, of n bytes.
func padded(n int) hook {
	h := github(push)
	h.body = append(h.body, bytes.Repeat([]byte(" "), n-len(h.body))...)
	return h.signed()
}

func TestZ10SizesHaveTheirLimits(t *testing.T) {
	f := newFront(t, frontOptions{}) // alone: it measures memory
	f.wants(t, "25 MiB from GitHub", padded(25*webhook.MiB), 1, http.StatusAccepted)
	f.wants(t, "1 MiB to the small source", func() hook { h := padded(webhook.MiB); h.path = "/hooks/small"; return h }(), 1, http.StatusAccepted)
	for name, head := range map[string]string{
		"a byte more":               fmt.Sprintf("POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 25*webhook.MiB+1),
		"26 MiB to the small":       fmt.Sprintf("POST /hooks/small HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 26*webhook.MiB),
		"26 MiB, and asks before":   fmt.Sprintf("POST /hooks/small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", 26*webhook.MiB),
		"chunked without end":       "POST /hooks/small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat(" ", 0x10000)+"\r\n", 40),
		"a length beyond all bound": "POST /hooks/small HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n",
	} {
		got := f.raw(t, head)
		if !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%s: answered %.80q", name, got)
		}
	}
	// Many at once are bounded together.
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	stop := make(chan struct{})
	var watch, senders sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&during)
				most.Store(max(most.Load(), during.HeapInuse))
			}
		}
	})
	big := padded(25 * webhook.MiB)
	var taken, later atomic.Int64
	for range 40 {
		senders.Go(func() {
			got, err := f.try(t, f.addr, big)
			switch {
			case err == nil && got.status == http.StatusAccepted:
				taken.Add(1)
			case err != nil || got.status == http.StatusServiceUnavailable:
				later.Add(1) // answered, and closed while it still wrote
			default:
				t.Errorf("answered %d %s", got.status, got.body)
			}
		})
	}
	senders.Wait()
	close(stop)
	watch.Wait()
	if grew := int64(most.Load()) - int64(before.HeapInuse); grew > 400*webhook.MiB {
		t.Errorf("40 bodies of 25 MiB took %d MiB of heap", grew/webhook.MiB)
	}
	t.Logf("40 bodies of 25 MiB at once: %d taken, %d told to come again, heap grew by %d MiB", taken.Load(), later.Load(), (int64(most.Load())-int64(before.HeapInuse))/webhook.MiB)
	if taken.Load() == 0 {
		t.Error("none was taken")
	}
	f.fine(t)
}

// quick makes the listener's deadlines a twentieth of what they are.
func quick(s *http.Server) {
	s.ReadHeaderTimeout /= 20
	s.ReadTimeout /= 20
}

func TestZ11SlowSendersAreEndedAndDelayNobody(t *testing.T) {
	if s := service.NewServer(nil, slog.Default()); s.ReadHeaderTimeout != 10*time.Second || s.ReadTimeout != 30*time.Second || s.IdleTimeout == 0 {
		t.Errorf("the listener's deadlines are %s, %s and %s", s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout)
	}
	patient := newFront(t, frontOptions{})
	slow := patient.slow(t)
	patient.fine(t)
	for i, conn := range slow {
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if got, err := io.ReadAll(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a good sender waited until connection %d was ended: %.60q, %v", i, got, err)
		}
	}
	f := newFront(t, frontOptions{server: quick})
	for i, conn := range f.slow(t) {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(conn)
		if err != nil || (i%2 == 0 && !bytes.HasPrefix(got, []byte("HTTP/1.1 408 "))) || bytes.HasPrefix(got, []byte("HTTP/1.1 2")) {
			t.Fatalf("connection %d: %.60q, %v", i, got, err)
		}
	}
	f.fine(t)
}

// slow opens connections that never send all that they said they would.
func (f *front) slow(t *testing.T) (conns []net.Conn) {
	t.Helper()
	open := func(text string) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprint(conn, text)
		conns = append(conns, conn)
	}
	for range 50 { // they claim 50 times as much as the source's share
		open(fmt.Sprintf("POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{", 25*webhook.MiB))
		open("POST /hooks/git")
	}
	return conns
}

func TestZ11ManyIdleConnectionsHarmNobody(t *testing.T) {
	f := newFront(t, frontOptions{})
	const idle = 5000 // both ends are this process's, and it may open 20,000 files
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range idle {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
		if err != nil {
			t.Skipf("NOT CHECKED: no more connections: %v", err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	f.fine(t)
	runtime.ReadMemStats(&after)
	t.Logf("%d idle connections: %d KiB each", idle, (after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/idle/1024)
}

func TestZ23RequestsWhoseEndIsDoubtfulAreClosed(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	second := "POST /hooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-%d: %d\r\n", i, i)
	}
	post := "POST /hooks/github HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"two lengths":             {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + second, []string{"400"}},
		"a length with a sign":    {post + "Content-Length: +2\r\n\r\n{}" + second, []string{"400"}},
		"length and chunked":      {post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + second, []string{"400", "401"}},
		"chunked twice":           {post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + second, []string{"400", "501"}},
		"an unknown coding":       {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second, []string{"400", "501"}},
		"1 MB of headers":         {post + "X-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", []string{"431"}},
		"10,000 headers":          {post + many.String() + "\r\n", []string{"431"}},
		"no host":                 {"POST /hooks/github HTTP/1.1\r\n\r\n", []string{"400"}},
		"two hosts":               {"POST /hooks/github HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", []string{"400"}},
		"a blank before a colon":  {post + "Content-Length : 2\r\n\r\n{}", []string{"400"}},
		"HTTP/2 without TLS":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []string{"400", "404", "405", "505"}},
		"HTTP/0.9":                {"GET /hooks/github\r\n\r\n", []string{"400"}},
		"expects and sends never": {post + "Expect: 100-continue\r\nContent-Length: 27000000\r\nConnection: close\r\n\r\n", []string{"413"}},
	} {
		got := f.raw(t, c.text)
		status, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(got, "HTTP/1.1 "), "HTTP/1.0 "), " ")
		right := false
		for _, want := range c.want {
			right = right || status == want
		}
		if !right || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: answered %.300q, want %v once, and the connection closed", name, got, c.want)
		}
	}
	f.fine(t)
}

func TestZ23AForwardedAddressCountsOnlyFromAProxyOfTheConfig(t *testing.T) {
	t.Parallel()
	for _, believed := range []bool{false, true} {
		f := newFront(t, frontOptions{config: func(cfg *service.Config) {
			cfg.Receivers.Sources[0].Allow = []string{"192.0.2.0/24"}
			if believed {
				cfg.Receivers.Proxies = []string{"127.0.0.1"}
			}
		}})
		h := github(push).signed().with("X-Forwarded-For", "192.0.2.7")
		if believed {
			f.wants(t, "behind a proxy", h, 1, http.StatusAccepted)
			f.wants(t, "forged behind a proxy", h.with("X-Forwarded-For", "192.0.2.7, 198.51.100.1"), 0, http.StatusForbidden)
			continue
		}
		f.wants(t, "forged", h, 0, http.StatusForbidden)
	}
}

func TestZ28ANoisySourceIsToldToWaitAndDelaysNobody(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{config: func(cfg *service.Config) {
		for i := range cfg.Receivers.Sources {
			if s := &cfg.Receivers.Sources[i]; s.Name == "github" || s.Name == "distribution" {
				s.Rate = service.Rate{PerSecond: 20, Burst: 5}
			}
		}
	}})
	var all sync.WaitGroup
	var taken, later, other atomic.Int64
	for range 100 {
		all.Go(func() {
			got := f.send(t, github(push).signed())
			switch {
			case got.status == http.StatusAccepted:
				taken.Add(1)
			case got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != "":
				later.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	began := time.Now()
	h := gitHook("gitea", "gitea", "push", push).signed()
	if got := f.send(t, h); got.status != http.StatusAccepted || time.Since(began) > hangs {
		t.Errorf("another source: %d after %s", got.status, time.Since(began))
	}
	all.Wait()
	if taken.Load() < 5 || later.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d taken, %d told to wait, %d else", taken.Load(), later.Load(), other.Load())
	}
	// Distribution's queue waits instead: a 429 is an error to it.
	for i := range 20 {
		if got := f.send(t, registryHook("distribution", envelope(fmt.Sprint("1.0.", i)))); got.status != http.StatusAccepted {
			t.Errorf("distribution's %d: %d %s", i, got.status, got.body)
		}
	}
}

func TestZ28TooManyItemsAre413OrPutAside(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	tags := make([]string, 10_000)
	for i := range tags {
		tags[i] = fmt.Sprint("1.0.", i)
	}
	f.wants(t, "all that one batch holds", registryHook("distribution", envelope(tags[:1000]...)), 1000, http.StatusAccepted)
	f.wants(t, "10,000 of who a 4xx stops", registryHook("distribution", envelope(tags...)), 0, http.StatusAccepted)
	if !strings.Contains(f.log.String(), "10000 items") {
		t.Errorf("nobody is told: %s", f.log)
	}
	quay := `{"repository":"a/b","docker_url":"quay.io/a/b","updated_tags":["` + strings.Join(tags, `","`) + `"]}`
	f.wants(t, "10,000 of another", registryHook("quay", quay), 0, http.StatusRequestEntityTooLarge)
	f.fine(t)
}
