package subscribers_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/freeport"
)

const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// page is the README's examples: the server's users, and commands.
type page struct {
	users    string
	commands []string
}

func readPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("README.md")
	must(t, err)
	var p page
	for _, m := range regexp.MustCompile("(?s)```(sh)?\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "sh" {
			p.commands = append(p.commands, strings.Split(strings.TrimSpace(m[2]), "\n")...)
		} else {
			p.users = m[2]
		}
	}
	if p.users == "" || len(p.commands) != 5 {
		t.Fatalf("the page has %d commands, and users %q", len(p.commands), p.users)
	}
	return p
}

// server is a NATS server with the page's users.
type server struct {
	page
	t    *testing.T
	addr string
	env  []string
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{page: readPage(t), t: t}
	var err error
	s.addr, err = freeport.Address()
	must(t, err)
	dir := t.TempDir()
	program, err := parts.Program(t.Context(), parts.NATSProgram)
	must(t, err)
	cli, err := parts.Program(t.Context(), parts.NATSCLIProgram)
	must(t, err)
	tools := filepath.Join(dir, "bin")
	must(t, os.Mkdir(tools, 0o755))
	must(t, os.Symlink(cli, filepath.Join(tools, "nats")))
	s.env = append(os.Environ(), "SLIPWAY=of-slipway", "DECK=of-deck", "PATH="+tools+":"+os.Getenv("PATH"), "XDG_CONFIG_HOME="+dir, "PYTHONDONTWRITEBYTECODE=1")
	config := filepath.Join(dir, "nats.conf")
	must(t, os.WriteFile(config, []byte(fmt.Sprintf("listen: %q\njetstream {store_dir: %q}\n%s", s.addr, dir, s.users)), 0o600))
	cmd := exec.CommandContext(t.Context(), program, "-c", config)
	cmd.Env = s.env
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing of it is kept
		_ = cmd.Wait()
		_ = log.Close()
	})
	return s
}

// bus is Slipway's, once the server answers.
func (s *server) bus() *bus.Bus {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Options{Name: "test", URL: "nats://slipway:of-slipway@" + s.addr, Log: slog.New(slog.DiscardHandler)})
	must(s.t, err)
	s.t.Cleanup(b.Close)
	return b
}

// command is one of the page's, at this server.
func (s *server) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(line, "localhost:4222", s.addr))
	cmd.Env, cmd.Dir = s.env, filepath.Join("..", "..")
	return cmd
}

func (s *server) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out, err := s.command(ctx, line).CombinedOutput()
	return string(out), err
}

// lines runs a command of the page that goes on, until it has printed a line
// for each text, in that order.
func (s *server) lines(line string, meanwhile func(), want ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, "exec "+regexp.MustCompile(`^((?:\w+=\S+ )*)`).ReplaceAllString(line, "env $1"))
	// `go run` leaves its child behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = in, in, time.Second
	must(s.t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		_ = in.Close()
		close(ended)
	}()
	var all []string
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	if meanwhile != nil {
		meanwhile()
	}
	for len(want) > 0 && scanner.Scan() {
		all = append(all, scanner.Text())
		if strings.Contains(scanner.Text(), want[0]) {
			want = want[1:]
		}
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	<-ended
	if len(want) > 0 {
		s.t.Errorf("%s\nprints no %q:\n%s", line, want[0], strings.Join(all, "\n"))
	}
}

// deployed is one of Slipway's events.
func deployed(t *testing.T, id, application string) events.Event {
	t.Helper()
	e, err := events.New(events.Meta{ID: id, Source: "/synchronizer/production", ChainID: "chain-" + id, Time: time.Now()}, events.ServiceEvent{
		Kind: events.ServiceDeployedType, Service: events.Service{
			Environment: "production", Cluster: "production", Application: application, Commit: strings.Repeat("a", 40), Images: []string{"ghcr.io/acme/web:1"},
			Artifact: "pkg:oci/web?repository_url=ghcr.io%2Facme%2Fweb&tag=1",
		},
	})
	must(t, err)
	return e
}

func TestThePageWorks(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.bus()
	sub, add, next, inGo, inPython := s.commands[0], s.commands[1], s.commands[2], s.commands[3], s.commands[4]
	must(t, b.Publish(t.Context(), deployed(t, "1", "production/shop/web"), deployed(t, "2", "production/shop/api")))

	// Who only listens hears nothing of before: it is told until it hears.
	heard := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-heard:
				return
			case <-tick.C:
			}
			if err := b.Publish(t.Context(), deployed(t, fmt.Sprintf("now-%d", i), "production/shop/now")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	s.lines(sub, nil, "chain-now-")
	close(heard)
	telling.Wait()

	if out, err := s.run(add); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := s.run(next)
	if err != nil || !strings.Contains(out, `"chainId":"chain-1"`) || !strings.Contains(out, `"chainId":"chain-2"`) {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, b.Publish(t.Context(), deployed(t, "3", "production/shop/web"), deployed(t, "4", "production/shop/api")))
	s.lines(inGo, nil, "production/shop/web chain-3", "production/shop/api chain-4")
	// Each goes on where the one before has ended.
	must(t, b.Publish(t.Context(), deployed(t, "5", "production/shop/web"), deployed(t, "6", "production/shop/api")))
	s.lines(inPython, func() { must(t, b.Publish(t.Context(), deployed(t, "7", "production/shop/web"))) },
		"production/shop/web chain-5", "production/shop/api chain-6", "production/shop/web chain-7")
}

func TestWhatASubscriberMayNot(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.bus()
	must(t, b.Publish(t.Context(), deployed(t, "1", "production/shop/web")))
	if out, err := s.run(s.commands[1]); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	deck := s.commands[2][:strings.Index(s.commands[2], " consumer ")] + " --timeout 2s "
	for _, what := range []string{
		"pub slipway.service.deployed.x forged",
		"pub slipwaywork.automator-repos.x.y forged",
		"req '$JS.API.STREAM.DELETE.SLIPWAY' ''",
		"req '$JS.API.STREAM.PURGE.SLIPWAY' ''",
		"req '$JS.API.CONSUMER.DELETE.SLIPWAY.deck' ''",
		`req '$JS.API.CONSUMER.CREATE.SLIPWAY.deck' '{"stream_name":"SLIPWAY","config":{"durable_name":"deck","deliver_subject":"slipwaywork.x"}}'`,
		"req '$JS.API.CONSUMER.MSG.NEXT.SLIPWAY.automator' ''",
		"sub '$KV.>' --count 1 --wait 1s",
		"sub 'slipwaywork.>' --count 1 --wait 1s",
		"sub '_INBOX.slipway.>' --count 1 --wait 1s",
	} {
		out, _ := s.run(deck + what)
		if !strings.Contains(strings.ToLower(out), "permissions violation") {
			t.Errorf("%s:\n%s", what, out)
		}
	}
	for e, err := range b.Read(t.Context(), bus.ReadOptions{Since: time.Now().Add(-time.Hour)}) {
		must(t, err)
		if e.Event.ID != "1" {
			t.Errorf("the stream has %s", e.Event.ID)
		}
	}
}
