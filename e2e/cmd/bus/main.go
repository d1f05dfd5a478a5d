// Command bus is a NATS server with JetStream as a process of its own, for
// tests that kill it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() {
	var o busserver.Options
	flag.StringVar(&o.Dir, "dir", "", "where the streams are kept")
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:4222", "where to listen")
	token := flag.String("token", "", "a file with the token that clients must show")
	flag.StringVar(&o.Monitor, "monitor", "", "where to tell of itself over HTTP")
	flag.BoolVar(&o.SyncAlways, "sync-always", false, "write each message to the disk before it is acknowledged")
	name := flag.String("name", "", "its name among the nodes of a cluster; with -cluster and -routes")
	cluster := flag.String("cluster", "", "where to listen for the other nodes")
	routes := flag.String("routes", "", "the URLs of all nodes, separated by commas")
	flag.Parse()
	if err := run(o, *token, *name, *cluster, *routes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o busserver.Options, tokenFile, name, cluster, routes string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.Token, err = (service.Secret{File: tokenFile}).Read(); err != nil {
		return err
	}
	if name != "" {
		at, err := netip.ParseAddrPort(cluster)
		if err != nil {
			return fmt.Errorf("-cluster: %w", err)
		}
		o.Cluster = &busserver.Cluster{Name: name, Host: at.Addr().String(), Port: int(at.Port()), Routes: strings.Split(routes, ",")}
	}
	o.Log = slog.Default()
	s, err := busserver.Start(o)
	if err != nil {
		return err
	}
	defer s.Shutdown()
	<-ctx.Done()
	return nil
}
