package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	log  string
	cmd  *exec.Cmd
	done chan struct{}
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
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.done = done
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(done)
	}(p.cmd)
	return nil
}

// Running says whether the program runs.
func (p *Process) Running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the program as kill -9 does, and waits for it.
func (p *Process) Kill() {
	if p.Running() {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Stop ends the program as an operator does, and waits for it.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
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
	return p.cmd.Process.Signal(s)
}
