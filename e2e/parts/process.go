package parts

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second // under -race beside a full build, too
	stopTimeout  = 15 * time.Second
	tailLines    = 30
)

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	name Name
	log  string
	done chan struct{}
	err  error // of Wait, once done is closed
}

// start builds the program where it is missing, runs it in dir and reads the line of
// JSON that says that it is ready. The context bounds the start only. The child dies
// with this process, however that ends.
func start(ctx context.Context, name Name, dir string, ready any, args ...string) (*process, error) {
	if dir == "" {
		return nil, fmt.Errorf("start %s: no Dir given", name)
	}
	path, err := build(ctx, name, func() {})
	if err != nil {
		return nil, err
	}
	p := &process{name: name, log: filepath.Join(dir, string(name)+".out"), done: make(chan struct{})}
	if err := p.run(ctx, path, dir, ready, args); err != nil {
		return nil, fmt.Errorf("start %s: %w\n%s", name, err, tail(p.log))
	}
	return p, nil
}

func (p *process) run(ctx context.Context, path, dir string, ready any, args []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make its folder: %w", err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = writer, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = p.cmd.Start()
	_ = writer.Close()
	if err != nil {
		return errors.Join(err, reader.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	line := make(chan []byte, 1)
	go func() {
		defer func() { _ = reader.Close() }()
		lines := bufio.NewReader(reader)
		first, _ := lines.ReadBytes('\n')
		line <- first
		_, _ = io.Copy(io.Discard, lines)
	}()
	return p.await(ctx, line, ready)
}

func (p *process) await(ctx context.Context, line <-chan []byte, ready any) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("wait until it is ready: %w", ctx.Err())
	case text := <-line:
		if len(text) == 0 {
			p.Kill()
			return fmt.Errorf("wait until it is ready: it ended: %w", p.err)
		}
		if err := json.Unmarshal(text, ready); err != nil {
			p.Kill()
			return fmt.Errorf("read its ready line %q: %w", text, err)
		}
		return nil
	}
}

// Stop ends the part as an operator does, and waits for it.
func (p *process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("stop %s: it did not end in %s\n%s", p.name, stopTimeout, tail(p.log))
	}
	// Whatever it left behind goes with it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.name, p.err, tail(p.log))
	}
	return nil
}

// Kill ends the part as a power cut does, and waits for it.
func (p *process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// tail is the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
