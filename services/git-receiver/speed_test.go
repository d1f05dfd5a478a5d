package gitreceiver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/git-receiver/provider"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
	"github.com/slipway-cd/slipway/shared/webhook"
)

const speedSecret = "a secret of the benchmark"

// TestMain is also the benchmark's other processes: NATS, and the bare
// handler that only checks the HMAC.
func TestMain(m *testing.M) {
	addr := os.Getenv("SPEED_ADDR")
	switch os.Getenv("SPEED_ROLE") {
	case "":
		os.Exit(m.Run())
	case "bus":
		if _, err := busserver.Start(busserver.Options{Dir: os.Getenv("SPEED_DIR"), Addr: addr, SyncAlways: os.Getenv("SPEED_SYNC") == "always"}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	case "bare":
		fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, http.HandlerFunc(bare)))
		os.Exit(1)
	}
}

func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(speedSecret))
	mac.Write(body)
	given, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
	if err != nil || !hmac.Equal(mac.Sum(nil), given) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// BenchmarkAccepted measures webhooks with a 10 KB body that were answered 202
// after JetStream's acknowledgement, beside the bare handler in the same run.
// Receiver, NATS, bare handler and senders are processes on this machine;
// latencies at half are those at half of the receiver's own rate, from the
// moment when the request was due. All are medians of five turns.
func BenchmarkAccepted(b *testing.B) {
	dir := b.TempDir()
	program := filepath.Join(dir, "git-receiver")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "./cmd/git-receiver").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, sync := range []string{"default", "always"} {
		for _, conns := range []int{16, 256} {
			b.Run(fmt.Sprintf("sync=%s/connections=%d", sync, conns), func(b *testing.B) { accepted(b, program, sync, conns) })
		}
	}
}

func accepted(b *testing.B, program, sync string, conns int) {
	dir := b.TempDir()
	door, floor, nats, metrics := servicetest.Address(b), servicetest.Address(b), servicetest.Address(b), servicetest.Address(b)
	role(b, "bus", nats, "SPEED_DIR="+filepath.Join(dir, "jetstream"), "SPEED_SYNC="+sync)
	role(b, "bare", floor)
	secret, config := filepath.Join(dir, "secret"), filepath.Join(dir, "slipway.yaml")
	for file, text := range map[string]string{secret: speedSecret, config: fmt.Sprintf(`data: %s
bus: {url: "nats://%s"}
listen: {hooks: %q, api: "127.0.0.1:0", metrics: %q}
receivers:
  sources: [{name: git, provider: github, secrets: [{file: %s}], rate: {perSecond: 1000000, burst: 1000000}}]
`, dir, nats, door, metrics, secret)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	receiver := child(b, exec.Command(program, config))
	ready(b, metrics)
	const rounds, slice = 5, 700 * time.Millisecond
	load{b, floor, conns}.run(slice, 0) // warm
	load{b, door, conns}.run(slice, 0)
	// In turns, so that a busy machine disturbs both alike.
	var limit, got, halves, floors []float64
	var whole []float64
	for range rounds {
		limit = append(limit, load{b, floor, conns}.run(slice, 0).rate)
		most := load{b, door, conns}.run(slice, 0)
		got, whole = append(got, most.rate), append(whole, most.p99)
		halves = append(halves, load{b, door, conns}.run(slice, most.rate/2).p99)
		floors = append(floors, load{b, floor, conns}.run(slice, most.rate/2).p99)
	}
	for range b.N { // the rates are over time, not over b.N
		continue
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(got), "webhooks/s")
	b.ReportMetric(median(limit), "bare/s")
	b.ReportMetric(100*median(got)/median(limit), "%ofbare")
	b.ReportMetric(median(halves), "p99ms@half")
	b.ReportMetric(median(floors), "p99ms@bare")
	b.ReportMetric(median(whole), "p99ms@full")
	b.ReportMetric(rss(b, receiver.Process.Pid), "MiB-RSS")
}

// ready waits until the receiver says that it is.
func ready(b *testing.B, metrics string) {
	b.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + metrics + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(until) {
			b.Fatal("the receiver is not ready")
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func role(b *testing.B, name, addr string, env ...string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "SPEED_ROLE="+name, "SPEED_ADDR="+addr), env...)
	child(b, cmd)
}

func child(b *testing.B, cmd *exec.Cmd) *exec.Cmd {
	b.Helper()
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b.Failed() {
			b.Logf("%s: %s", cmd.Path, &log)
		}
	})
	return cmd
}

// rss is the most memory that a process had.
func rss(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Log(err) // no Linux
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// load is what senders put on a server.
type load struct {
	b     *testing.B
	addr  string
	conns int
}

type measured struct {
	rate float64
	p99  float64 // milliseconds
}

// run sends for a while: as fast as answers come, or at a rate.
func (l load) run(d time.Duration, rate float64) measured {
	l.b.Helper()
	ctx, cancel := context.WithTimeout(l.b.Context(), d+20*time.Second)
	defer cancel()
	took := make([][]time.Duration, l.conns)
	var all sync.WaitGroup
	ready := make(chan struct{})
	var began time.Time
	var failed atomic.Pointer[error]
	for i := range l.conns {
		c, err := dial(ctx, l.addr)
		if err != nil {
			l.b.Fatal(err)
		}
		all.Go(func() {
			defer func() { _ = c.conn.Close() }()
			<-ready
			due := began
			step := time.Duration(0)
			if rate > 0 {
				step = time.Duration(float64(l.conns) / rate * float64(time.Second))
				due = due.Add(step * time.Duration(i) / time.Duration(l.conns))
			}
			for {
				if rate == 0 {
					due = time.Now()
				} else if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
				}
				if due.Sub(began) > d {
					return
				}
				if err := c.post(); err != nil {
					failed.Store(&err)
					return
				}
				took[i] = append(took[i], time.Since(due))
				due = due.Add(step)
			}
		})
	}
	began = time.Now()
	close(ready)
	all.Wait()
	seconds := time.Since(began).Seconds()
	if err := failed.Load(); err != nil {
		l.b.Fatal(*err)
	}
	flat := slices.Concat(took...)
	slices.Sort(flat)
	return measured{float64(len(flat)) / seconds, flat[len(flat)*99/100].Seconds() * 1000}
}

// sender is a connection that posts one body under ever new delivery ids, at
// little cost: GitHub does not sign the id.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
	text []byte
	id   []byte // inside of text
}

var deliveries atomic.Int64

// pushBody is a push of two commits as GitHub sends it: of 10 KB most are
// addresses in the objects about the repository and the people.
func pushBody() []byte {
	var b strings.Builder
	b.WriteString(`{"ref":"refs/heads/main","before":"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8","after":"e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98","created":false,"deleted":false,"forced":false,"base_ref":null,"pusher":{"name":"maria","email":"maria@example.com"}`)
	object := func(name string, bytes int) {
		from := b.Len()
		fmt.Fprintf(&b, `,%q:{"id":186853002,"node_id":"MDEwOlJlcG9zaXRvcnkxODY4NTMwMDI=","full_name":"acme/config","private":false,"clone_url":"https://github.com/acme/config.git"`, name)
		for i := 0; b.Len() < from+bytes; i++ {
			fmt.Fprintf(&b, `,"field_%d_url":"https://api.github.com/repos/acme/config/field_%d{/other_user}{/sha}","open_count_%d":%d,"has_%d":true`, i, i, i, i, i)
		}
		b.WriteString("}")
	}
	object("repository", 6000)
	object("organization", 1000)
	object("sender", 1000)
	commit := `{"id":"e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98","tree_id":"f9d2a07e9488b91af2641b26b9407fe22a451433","distinct":true,"message":"web: 1.4.2\n\nThe release of this week.","timestamp":"2026-11-23T21:15:03+01:00","url":"https://github.com/acme/config/commit/e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98","author":{"name":"Maria","email":"maria@example.com","username":"maria"},"committer":{"name":"Maria","email":"maria@example.com","username":"maria"},"added":["apps/new.yaml"],"removed":[],"modified":["apps/web.yaml","apps/api.yaml"]}`
	fmt.Fprintf(&b, `,"commits":[%s,%s],"head_commit":%s}`, commit, commit, commit)
	return []byte(b.String())
}

func dial(ctx context.Context, addr string) (*sender, error) {
	var conn net.Conn
	var err error
	for { // until it listens
		if conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("reach %s: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	body := pushBody()
	h := http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "Host": {"x"}, "Content-Length": {strconv.Itoa(len(body))}}
	at := slices.IndexFunc(provider.Table, func(p webhook.Provider) bool { return p.Name == "github" })
	provider.Table[at].Sign(h, body, speedSecret, time.Now())
	var text bytes.Buffer
	text.WriteString("POST /hooks/git HTTP/1.1\r\n")
	if err := h.Write(&text); err != nil {
		return nil, err
	}
	text.WriteString("X-GitHub-Delivery: ")
	from := text.Len()
	text.WriteString("0000000000000000\r\n\r\n")
	text.Write(body)
	s := &sender{conn: conn, in: bufio.NewReader(conn), text: text.Bytes()}
	s.id = s.text[from : from+16]
	return s, nil
}

func (s *sender) post() error {
	copy(s.id, fmt.Sprintf("%016d", deliveries.Add(1)))
	_ = s.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.conn.Write(s.text); err != nil {
		return err
	}
	length, status := 0, ""
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if status == "" {
			status = string(line)
		}
		if len(line) == 2 {
			break
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
	}
	answer, err := io.ReadAll(io.LimitReader(s.in, int64(length)))
	if !strings.HasPrefix(status, "HTTP/1.1 202 ") {
		return errors.Join(fmt.Errorf("answered %s%s", status, answer), err)
	}
	return err
}
