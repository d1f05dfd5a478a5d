package slipway

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/services/slipway/setup"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func newInit() *cobra.Command {
	var a setup.Answers
	var yes, force, show bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented config and its secrets, and tell what to set at registry and Git host",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Lstat(a.Config); err == nil && !force {
				return existing(fmt.Errorf("%w: %s", setup.ErrExists, a.Config))
			}
			if in, ok := cmd.InOrStdin().(*os.File); ok && !yes && terminal(in) {
				var err error
				if a, err = a.Ask(in, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			return initialize(cmd, a.Complete(), force, show)
		},
	}
	initFlags(c, &a)
	c.Flags().BoolVar(&a.Systemd, "systemd", false, "the config is for deploy/systemd's unit, which hands the secrets over as its credentials")
	c.Flags().BoolVar(&yes, "yes", false, "ask nothing, also on a terminal")
	c.Flags().BoolVar(&force, "force", false, "write over a config that is there; secrets that are there stay")
	c.Flags().BoolVar(&show, "show-secrets", false, "print the webhooks' secrets, not only where they are")
	return c
}

func initFlags(c *cobra.Command, a *setup.Answers) {
	for _, f := range []struct {
		into            *string
		name, otherwise string
		usage           string
	}{
		{&a.Config, "config", "slipway.yaml", "the file to write"},
		{&a.Secrets, "secrets", "", "the folder for secrets (default: secrets beside the config)"},
		{&a.Data, "data", "", "the data folder (default /var/lib/slipway)"},
		{&a.Cluster, "cluster", "", "the cluster's name"},
		{&a.URL, "url", "", "the address by which registry and Git host reach this machine"},
		{&a.Registry.Host, "registry-host", "", "the registry's host, as it stands in image references"},
		{&a.Registry.Provider, "registry-provider", "", "what kind of registry it is (`slipway providers`); default by its host"},
		{&a.Registry.Endpoint, "registry-endpoint", "", "where the registry is called, if not https://HOST"},
		{&a.Registry.User, "registry-user", "", "who may read manifests and tags"},
		{&a.Registry.Token, "registry-token-file", "", "the file with that user's token or password"},
		{&a.Registry.Topic, "registry-topic", "", "the SNS topic's ARN, for aws-sns"},
		{&a.Registry.Email, "registry-oidc-email", "", "the push subscription's service account, for gar"},
		{&a.Git.URL, "git-url", "", "the config repo's address"},
		{&a.Git.Provider, "git-provider", "", "what kind of Git host it is; default by the address"},
		{&a.Git.Branch, "branch", "", "the config repo's branch (default main)"},
		{&a.Git.Token, "git-token-file", "", "the file with a token that may push"},
		{&a.Git.SSHKey, "git-ssh-key", "", "the file with an SSH key that may push"},
		{&a.Git.KnownHosts, "git-known-hosts", "", "the file with the Git host's SSH keys"},
		{&a.Git.Topic, "git-topic", "", "the SNS topic's ARN, for aws-sns"},
		{&a.Git.Root, "root", "", "the path that describes the cluster (default clusters/CLUSTER)"},
		{&a.Git.Policies, "policies", "", "the path with DeploymentPolicies (default policies)"},
		{&a.Hooks, "listen-hooks", "", "where webhooks are taken (default :8080)"},
		{&a.API, "listen-api", "", "where people call (default 127.0.0.1:8081)"},
		{&a.Metrics, "listen-metrics", "", "where metrics and health are told (default 127.0.0.1:9090)"},
		{&a.Bus, "listen-bus", "", "where the embedded bus listens (default 127.0.0.1:4222)"},
		{&a.Cert, "tls-cert", "", "the certificate of hooks and API"},
		{&a.Key, "tls-key", "", "its key"},
		{&a.Kubeconfig, "kubeconfig", "", "how the cluster is reached"},
	} {
		c.Flags().StringVar(f.into, f.name, f.otherwise, f.usage)
	}
}

func initialize(cmd *cobra.Command, a setup.Answers, force, show bool) error {
	if err := a.Check(); err != nil {
		return err
	}
	err := a.Write(force, func(cfg service.Config) error {
		var all []error
		for _, p := range parts() {
			if p.Check != nil {
				all = append(all, p.Check(cfg))
			}
		}
		return errors.Join(all...)
	})
	if err != nil {
		return existing(err)
	}
	return a.Tell(cmd.OutOrStdout(), provider(registryreceiver.Providers(), a.Registry.Provider), provider(gitreceiver.Providers(), a.Git.Provider), show)
}

func existing(err error) error {
	if errors.Is(err, setup.ErrExists) {
		return fmt.Errorf("%w: %w (--force writes over it)", errRefused, err)
	}
	return err
}

func provider(table []webhook.Provider, name string) webhook.Provider {
	return table[slices.IndexFunc(table, func(p webhook.Provider) bool { return p.Name == name })]
}

// terminal says whether a person sits there.
func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
