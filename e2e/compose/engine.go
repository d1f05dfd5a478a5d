package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Engine is a Docker engine of our own, for tests where none runs.
type Engine struct {
	// Host is what DOCKER_HOST is set to.
	Host string

	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

// StartEngine starts dockerd, which needs root, with its files in a folder of its own.
// It has no network but those that a project makes, and leaves the machine's forwarding
// and the policy of its packet filter as they are.
func StartEngine(ctx context.Context) (_ *Engine, err error) {
	// Paths of sockets are short.
	dir, err := os.MkdirTemp("", "slipway-docker-")
	if err != nil {
		return nil, fmt.Errorf("start an engine: %w", err)
	}
	e := &Engine{Host: "unix://" + filepath.Join(dir, "sock"), dir: dir, done: make(chan struct{})}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an engine: %w", err), os.RemoveAll(dir))
	}
	defer func() { _ = log.Close() }()
	e.cmd = exec.Command("dockerd",
		"--bridge=none", "--ip-forward=false",
		"--host="+e.Host, "--data-root="+filepath.Join(dir, "data"), "--exec-root="+filepath.Join(dir, "exec"), "--pidfile="+filepath.Join(dir, "pid"))
	e.cmd.Stdout, e.cmd.Stderr = log, log
	// It takes its containers with it when this process dies.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := e.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start an engine: %w", err), os.RemoveAll(dir))
	}
	go func() { _ = e.cmd.Wait(); close(e.done) }()
	err = Eventually(ctx, time.Minute, func() error {
		select {
		case <-e.done:
			return errors.New("dockerd ended")
		default:
		}
		cmd := exec.CommandContext(ctx, "docker", "version")
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host)
		return cmd.Run()
	})
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		const last = 10
		return nil, errors.Join(fmt.Errorf("start an engine: %w\n%s", err, strings.Join(lines[max(0, len(lines)-last):], "\n")), e.Stop())
	}
	return e, nil
}

// Stop ends the engine and removes all that it had.
func (e *Engine) Stop() error {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	const longest = time.Minute
	select {
	case <-e.done:
	case <-time.After(longest):
		_ = e.cmd.Process.Kill()
		<-e.done
	}
	return os.RemoveAll(e.dir)
}

// Running says whether an engine answers where docker looks for one.
func Running(ctx context.Context) bool {
	return exec.CommandContext(ctx, "docker", "version").Run() == nil
}
