// Command bus is a NATS server with JetStream as a process of its own, for
// tests that kill it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() {
	dir := flag.String("dir", "", "where the streams are kept")
	addr := flag.String("addr", "127.0.0.1:4222", "where to listen")
	token := flag.String("token", "", "a file with the token that clients must show")
	monitor := flag.String("monitor", "", "where to tell of itself over HTTP")
	always := flag.Bool("sync-always", false, "write each message to the disk before it is acknowledged")
	flag.Parse()
	if err := run(*dir, *addr, *token, *monitor, *always); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir, addr, tokenFile, monitor string, always bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	token, err := service.Secret{File: tokenFile}.Read()
	if err != nil {
		return err
	}
	s, err := busserver.Start(busserver.Options{Dir: dir, Addr: addr, Token: token, Monitor: monitor, SyncAlways: always, Log: slog.Default()})
	if err != nil {
		return err
	}
	defer s.Shutdown()
	<-ctx.Done()
	return nil
}
