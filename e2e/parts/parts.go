// Package parts builds and runs the real things that tests talk to: a Kubernetes
// control plane, a container registry, a Git host and git's own HTTP server.
//
// Each is a program of its own, built once into a cache and started as a child that
// dies with the test. Nothing of it is a stub; only the cluster's pods are simulated.
package parts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Name names a program that [Build] can build.
type Name string

// The programs. Those that start them build them too where they are missing.
const (
	ClusterProgram     Name = "cluster"
	RegistryProgram    Name = "registry"
	GiteaProgram       Name = "gitea"
	PostReceiveProgram Name = "post-receive"
	NATSProgram        Name = "nats-server"
	NATSCLIProgram     Name = "nats"
	CaddyProgram       Name = "caddy"
	PromtoolProgram    Name = "promtool"
)

// Eventually calls check until it returns nil, ctx ends or the timeout has passed; the
// last two return what check said last, before it said so for the sake of ctx.
func Eventually(ctx context.Context, timeout time.Duration, check func() error) error {
	return EventuallyEvery(ctx, 10*time.Millisecond, timeout, check)
}

// EventuallyEvery is [Eventually] for a check that is dear: it waits for so long
// between two, and twice as long as the last one took. What is waited for needs the
// processors, too, and a kubectl takes one of them for a third of a second.
func EventuallyEvery(ctx context.Context, pause, timeout time.Duration, check func() error) error {
	start, late := time.Now(), time.After(timeout)
	var last error
	for {
		began := time.Now()
		err := check()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w after %s: %w", context.Cause(ctx), time.Since(start).Round(time.Millisecond), last)
		case <-late:
			return fmt.Errorf("not within %s: %w", timeout, last)
		case <-time.After(max(pause, min(2*time.Since(began), longestPause))):
		}
	}
}

// longestPause bounds it where a check takes its time, as one of a host that
// doesn't answer does.
const longestPause = 2 * time.Second

// root is the project's folder: the nearest above the working directory that holds
// the workspace.
func root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the project above %s: no go.work there", start)
		}
	}
}
