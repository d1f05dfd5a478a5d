package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one of our own programs, which can be killed and started again.
type Process struct {
	Name string
	// MetricsURL is where it tells of itself; empty where it doesn't.
	MetricsURL string

	path string
	args []string
	env  []string
	on   string // the network namespace in which it runs; empty is our own
	log  string

	mu   sync.Mutex // of what follows: who starts it may be another than who looks
	cmd  *exec.Cmd
	done chan struct{}
}

// now is what runs, and what is closed when it has ended; nil before the first
// start.
func (p *Process) now() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.done
}

// NewProcess is a program that Build has built; its log is in dir.
func NewProcess(name, dir, path string, args ...string) *Process {
	return newProcess(name, dir, path, args...)
}

func newProcess(name, dir, path string, args ...string) *Process {
	return &Process{Name: name, path: path, args: args, log: filepath.Join(dir, name+".log")}
}

// Start runs the program; its output goes to its log.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd, done := exec.Command(p.path, p.args...), make(chan struct{})
	if p.on != "" {
		cmd = exec.Command("ip", append([]string{"netns", "exec", p.on, p.path}, p.args...)...) // becomes the program
	}
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// Running says whether the program runs.
func (p *Process) Running() bool {
	_, done := p.now()
	if done == nil {
		return false
	}
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// Kill ends the program as kill -9 does, and waits for it.
func (p *Process) Kill() {
	if p.Running() {
		cmd, done := p.now()
		_ = cmd.Process.Kill()
		<-done
	}
}

// Stop ends the program as an operator does, and waits for it.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	cmd, done := p.now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
		return nil
	case <-time.After(30 * time.Second):
		p.Kill()
		return fmt.Errorf("stop %s: it did not end in 30 s", p.Name)
	}
}

// Check errs, with the end of its log, when the program has ended.
func (p *Process) Check() error {
	if p.Running() {
		return nil
	}
	return fmt.Errorf("%s has ended:\n%s", p.Name, p.Tail(15))
}

// Ready errs unless the program runs and says that it is ready.
func (p *Process) Ready(ctx context.Context) error {
	if err := p.Check(); err != nil || p.MetricsURL == "" {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.MetricsURL+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.Name, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", p.Name, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", p.Name, res.Status)
	}
	return nil
}

// Metrics is what the program tells of itself, as Prometheus reads it.
func (p *Process) Metrics(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.MetricsURL+"/metrics", nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", p.Name, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", p.Name, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// Tail is the end of the program's log, in lines.
func (p *Process) Tail(lines int) string {
	data, err := os.ReadFile(p.log)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Log is everything that the program has written.
func (p *Process) Log() string {
	data, _ := os.ReadFile(p.log)
	return string(data)
}

// Pause stops the running program in the middle of whatever it does; it goes on
// with Resume, and knows nothing of the time between.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused program go on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("%s to %s: it doesn't run", s, p.Name)
	}
	cmd, _ := p.now()
	return cmd.Process.Signal(s)
}
