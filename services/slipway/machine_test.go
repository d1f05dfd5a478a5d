package slipway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// machine is one installation: a config, a data folder, and `slipway up` as a
// process of its own. There is no cluster; who needs none doesn't mind.
type machine struct {
	dir, config, data    string
	hooks, metrics, nats string // addresses
	env                  []string
	program              string // another than the test's own
	attr                 *syscall.SysProcAttr
}

// layout of a machine's config; what follows it is the test's.
const machineConfig = `cluster: local
data: %[1]s/data
bus: {embedded: {listen: "%[2]s"}}
listen: {hooks: "%[3]s", api: "127.0.0.1:0", metrics: "%[4]s"}
synchronizer: {kubeconfig: %[1]s/kubeconfig}
receivers:
  sources:
  - {name: distribution, provider: distribution, registry: registry.example.com, secrets: [{file: %[1]s/secret}]}
  - {name: github, provider: github, secrets: [{file: %[1]s/secret}]}
`

// nowhere is a cluster that doesn't answer.
const nowhere = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {token: x}}]
`

// awayRepository is a config repo whose host doesn't answer.
const awayRepository = "repositories:\n- url: http://127.0.0.1:1/acme/config.git\n  roots: [{cluster: local, path: clusters/local}]\n"

func newMachine(t *testing.T, rest string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{
		dir: dir, config: filepath.Join(dir, "slipway.yaml"), data: filepath.Join(dir, "data"),
		hooks: servicetest.Address(t), metrics: servicetest.Address(t), nats: servicetest.Address(t),
	}
	servicetest.Write(t, filepath.Join(dir, "secret"), frontSecret+"\n")
	servicetest.Write(t, filepath.Join(dir, "kubeconfig"), nowhere)
	m.write(t, rest)
	return m
}

func (m *machine) write(t *testing.T, rest string) {
	t.Helper()
	servicetest.Write(t, m.config, fmt.Sprintf(machineConfig, m.dir, m.nats, m.hooks, m.metrics)+rest)
}

// command is the program as a user would run it.
func (m *machine) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program := "slipway" // testscript has put it there
	if m.program != "" {
		program = m.program
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = m.dir, append(os.Environ(), m.env...), m.attr
	return cmd
}

// run gives the exit code of a command, and all that it says. One that doesn't
// end is killed.
func (m *machine) run(t *testing.T, args ...string) (code int, says string) {
	t.Helper()
	cmd := m.command(t, args...)
	var all syncBuffer
	cmd.Stdout, cmd.Stderr = &all, &all
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, all.String()
}

// does runs a command that must go well.
func (m *machine) does(t *testing.T, args ...string) string {
	t.Helper()
	code, says := m.run(t, args...)
	if code != 0 {
		t.Fatalf("slipway %s: exit %d: %s", strings.Join(args, " "), code, says)
	}
	return says
}

// running is a `slipway up`.
type running struct {
	m   *machine
	cmd *exec.Cmd
	log *syncBuffer
}

// start runs `slipway up` until the test ends.
func (m *machine) start(t *testing.T) *running {
	t.Helper()
	r := &running{m: m, cmd: m.command(t, "up", "--config", m.config), log: &syncBuffer{}}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("log of slipway up:\n%s", r.log)
		}
	})
	return r
}

// up is [machine.start] that waits until everything is ready.
func (m *machine) up(t *testing.T) *running {
	t.Helper()
	r := m.start(t)
	bustest.Until(t, "slipway up is ready", func() bool { return strings.HasPrefix(r.m.ask(t, "/readyz"), "200 ok") })
	return r
}

// kill is kill -9.
func (r *running) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()
}

// says waits until the log has all of the words in one line.
func (r *running) says(t *testing.T, words ...string) {
	t.Helper()
	bustest.Until(t, "the log says "+strings.Join(words, " … "), func() bool {
		for line := range strings.Lines(r.log.String()) {
			if contains(line, words...) {
				return true
			}
		}
		return false
	})
}

func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// ask gives status and body of the port for metrics and health; empty while
// there is no answer.
func (m *machine) ask(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.metrics+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// send posts a webhook; 0 is no answer.
func (m *machine) send(t *testing.T, h hook) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+m.hooks+h.path, bytes.NewReader(h.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.header
	res, err := client.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}

// accepted posts a webhook until it is taken, as senders do.
func (m *machine) accepted(t *testing.T, h hook) {
	t.Helper()
	bustest.Until(t, "a webhook is accepted", func() bool { return m.send(t, h) == http.StatusAccepted })
}
