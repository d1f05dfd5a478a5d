package slipway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/services/automator"
	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/services/slipway/backup"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func newUp() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run all services in this process, with JetStream embedded where the config says so",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := service.Load(config)
			if err != nil {
				return err
			}
			return Up(cmd.Context(), cfg)
		},
	}
	configFlag(c, &config)
	return c
}

// parts are the services of `slipway up`.
func parts() []service.Part {
	return []service.Part{registryreceiver.Part(), gitreceiver.Part(), automator.Part(), synchronizer.Part()}
}

// Up runs all services in this process until ctx ends.
func Up(ctx context.Context, cfg service.Config) error {
	claim, err := backup.Take(cfg.Data)
	if errors.Is(err, backup.ErrInUse) {
		return fmt.Errorf("%w:\ndata: %w: stop the other `slipway up`, backup or restore, or give this one a folder of its own", service.ErrConfig, err)
	}
	if err != nil {
		return fmt.Errorf("%w:\ndata: %w", service.ErrConfig, err)
	}
	defer claim.Release()
	if cfg.Bus.Embedded == nil {
		return service.Run(ctx, cfg, parts()...)
	}
	bus, err := startBus(cfg)
	if err != nil {
		return err
	}
	defer bus.shutdown()
	group, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	group.Go(func() error { defer stop(); return service.Run(ctx, cfg, parts()...) })
	group.Go(func() error { return bus.guard(serving) })
	group.Go(func() error { return bus.control(serving) })
	return group.Wait()
}

// busToken reads the token, or makes it on the first start.
func busToken(file string) (string, error) {
	token, err := service.Secret{File: file}.Read()
	if !errors.Is(err, os.ErrNotExist) {
		return token, err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make the bus's token: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	token = hex.EncodeToString(raw)
	// Who is killed as it is written would find an empty one, and not start again.
	partly := file + ".partly"
	err = os.WriteFile(partly, []byte(token+"\n"), 0o600)
	if err == nil {
		err = os.Rename(partly, file)
	}
	if err != nil {
		return "", fmt.Errorf("write the bus's token: %w", err)
	}
	return token, nil
}

// listed is a provider with the service that takes it.
type listed struct {
	Name    string        `json:"name"`
	Service string        `json:"service"`
	Tried   webhook.Tried `json:"tried"`
	Where   string        `json:"where"`
	Events  string        `json:"events"`
	Secret  string        `json:"secret"`
}

func providers() []listed {
	var all []listed
	for _, table := range []struct {
		service string
		rows    []webhook.Provider
	}{{"registry-receiver", registryreceiver.Providers()}, {"git-receiver", gitreceiver.Providers()}} {
		for _, p := range table.rows {
			all = append(all, listed{p.Name, table.service, p.Setup.Tried, p.Setup.Where, p.Setup.Events, p.Setup.Secret})
		}
	}
	return all
}

func newProviders() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "providers",
		Short: "List the senders of webhooks that are known, with what to set there",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, providers())
			}
			for _, p := range providers() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s (%s; tried: %s)\n  where:  %s\n  events: %s\n  secret: %s\n", p.Name, p.Service, p.Tried, p.Where, p.Events, p.Secret)
			}
			return nil
		},
	}
	outputFlag(c, &output)
	return c
}

func newHealthcheck() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 when a running Slipway is ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return service.Healthcheck(cmd.Context(), url)
		},
	}
	c.Flags().StringVar(&url, "url", service.ReadyURL, "where readiness is told")
	return c
}
