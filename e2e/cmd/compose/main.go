// Command compose is what `make up` and `make down` call: it runs
// docker-compose.yaml on this machine's Docker engine.
//
//	compose [-offline] up
//	compose [-offline] push IMAGE TAG
//	compose [-offline] [-volumes] down
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-cd/slipway/e2e/compose"
	"github.com/slipway-cd/slipway/e2e/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	offline := flag.Bool("offline", false, "take NATS, registry, Git host and proxy built from Go modules, for machines that can't pull")
	volumes := flag.Bool("volumes", false, "with down: remove the data too")
	flag.Parse()
	if err := run(ctx, *offline, *volumes, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to undo
	}
}

func run(ctx context.Context, offline, volumes bool, args []string) error {
	root, err := local.Root()
	if err != nil {
		return err
	}
	p := &compose.Project{Root: root, Offline: offline, Out: os.Stderr}
	if err := p.Open(ctx); err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "up":
		if err := p.Up(ctx); err != nil {
			return err
		}
		fmt.Printf(welcome, p.GitURL(), p.Registry())
		return nil
	case len(args) == 1 && args[0] == "down":
		return p.Down(ctx, volumes)
	case len(args) == 3 && args[0] == "push":
		digest, err := p.Push(ctx, args[1], args[2])
		if err == nil {
			fmt.Printf("pushed %s:%s@%s\n", args[1], args[2], digest)
		}
		return err
	}
	return fmt.Errorf("say up, down or push IMAGE TAG, not %q", args)
}

const welcome = `Slipway runs.
  Git host   %s (user slipway, password in deploy/compose/.local/git-admin)
  registry   %s
  webhooks   http://127.0.0.1:8080/hooks/{registry,git}

  make push TAG=1.1.0    pushes shop/web:1.1.0, which Slipway brings to the cluster
  make down              stops it; the data stays
`
