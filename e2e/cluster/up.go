package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/e2e/cluster/plane"
	"github.com/slipway-cd/slipway/e2e/cluster/sim"
)

// console is the standard error that the program was started with; the
// components' own standard error goes to the log file.
var console = os.Stderr

type settings struct {
	data    string
	bind    string
	name    string
	copy    string
	apiPort int
	nodes   int
	aliases map[string]string
}

func parse(args []string) (settings, error) {
	s := settings{aliases: map[string]string{}}
	flags := flag.NewFlagSet("cluster up", flag.ContinueOnError)
	flags.StringVar(&s.data, "data", "", "folder of the cluster's state, kubeconfig and log")
	flags.StringVar(&s.bind, "bind", "127.0.0.1", "address that the API server listens on")
	flags.StringVar(&s.name, "server-name", "127.0.0.1", "host that the kubeconfig names; the certificate knows localhost, cluster and host.docker.internal")
	flags.StringVar(&s.copy, "kubeconfig", "", "where a copy of the kubeconfig is put when the cluster can be used")
	flags.IntVar(&s.apiPort, "api-port", 0, "port of the API server; 0 takes the one used before in this folder, else a free one")
	flags.IntVar(&s.nodes, "nodes", 1, "how many nodes to simulate")
	flags.Func("registry-alias", "HOST=ADDRESS: where the images of a registry's public host are asked for; repeatable", func(v string) error {
		host, address, ok := strings.Cut(v, "=")
		if !ok || host == "" || address == "" {
			return fmt.Errorf("%q is not HOST=ADDRESS", v)
		}
		s.aliases[host] = address
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.data == "" {
		return s, errors.New("--data is required")
	}
	if s.nodes < 1 {
		return s, fmt.Errorf("--nodes %d: at least one node is needed", s.nodes)
	}
	abs, err := filepath.Abs(s.data)
	s.data = abs
	return s, err
}

// up runs the cluster until ctx ends. It writes one line of JSON to out when the
// cluster can be used.
func up(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := logTo(filepath.Join(s.data, "cluster.log")); err != nil {
		return err
	}
	control, err := plane.Start(ctx, plane.Options{Dir: s.data, Bind: s.bind, APIPort: s.apiPort, ServerName: s.name})
	if err != nil {
		return err
	}
	// The nodes are simulated until the controllers have stopped, by a context of their own.
	nodes, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	simulated := &errgroup.Group{}
	simulated.Go(func() error {
		return sim.Run(nodes, sim.Options{
			Config:  control.Config,
			Nodes:   s.nodes,
			Version: plane.Version(),
			Images:  sim.NewRegistries(s.aliases),
		})
	})
	if err := control.WaitReady(ctx, s.nodes); err != nil {
		control.Stop()
		return err
	}
	if err := s.handOut(control.Kubeconfig); err != nil {
		control.Stop()
		return err
	}
	line, err := json.Marshal(map[string]string{"kubeconfig": control.Kubeconfig, "server": control.Server})
	if err != nil {
		return fmt.Errorf("write the ready line: %w", err)
	}
	fmt.Fprintf(out, "%s\n", line)

	select {
	case <-ctx.Done():
	case err = <-control.Failed():
	}
	cancel()
	err = errors.Join(err, simulated.Wait())
	control.Stop()
	return err
}

// handOut copies the kubeconfig to where others find it, who may not see the data
// folder; all at once, since they may be reading.
func (s settings) handOut(kubeconfig string) error {
	if s.copy == "" {
		return nil
	}
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		return fmt.Errorf("copy the kubeconfig: %w", err)
	}
	if err := os.WriteFile(s.copy+".new", text, 0o600); err != nil {
		return fmt.Errorf("copy the kubeconfig: %w", err)
	}
	if err := os.Rename(s.copy+".new", s.copy); err != nil {
		return fmt.Errorf("copy the kubeconfig: %w", err)
	}
	return nil
}

// logTo makes standard error, and with it every component's log and every panic,
// go to the end of a file.
func logTo(path string) error {
	saved, err := syscall.Dup(2)
	if err != nil {
		return fmt.Errorf("keep standard error: %w", err)
	}
	syscall.CloseOnExec(saved)
	console = os.NewFile(uintptr(saved), "console")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := syscall.Dup3(int(file.Fd()), 2, 0); err != nil {
		return fmt.Errorf("send standard error to the log: %w", err)
	}
	return nil
}
