// Command cluster is a whole Kubernetes in one program, for tests: etcd, the API
// server, the controller manager and the scheduler are the real ones; the nodes and
// what runs on them are simulated (package sim).
//
//	cluster up --data DIR [--registry-alias HOST=ADDRESS]... [--api-port N] [--nodes N]
//	cluster kubectl ARGS...
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

const usage = `usage:
  cluster up --data DIR [--registry-alias HOST=ADDRESS]... [--api-port N] [--nodes N]
  cluster kubectl ARGS...
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "up":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if err := up(ctx, os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
			fmt.Fprintf(console, "cluster: %v\n", err)
			os.Exit(1)
		}
	case "kubectl":
		// kubectl reads its own arguments again to look for plugins.
		os.Args = append([]string{"kubectl"}, os.Args[2:]...)
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
