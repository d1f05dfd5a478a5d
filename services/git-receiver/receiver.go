// Package gitreceiver takes the webhooks of Git hosts and turns each ref that
// moved into an event.
package gitreceiver

//go:generate go test -run TestThePageOfProvidersIsFresh -update .

import (
	"context"

	"github.com/slipway-cd/slipway/services/git-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// Config is the whole config, of which the receiver reads receivers and the
// repositories' aliases.
type Config = service.Config

// Run runs the receiver alone in this process until ctx ends.
func Run(ctx context.Context, cfg Config) error { return service.Run(ctx, cfg, Part()) }

// Part is the receiver for a process that it may share.
func Part() service.Part {
	return webhook.Part("git-receiver", provider.Table)
}

// Providers lists what a source's provider may be.
func Providers() []webhook.Provider { return provider.Table }
