package slipway

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/grants"
	"github.com/slipway-cd/slipway/shared/service"
)

func newBusUsers() *cobra.Command {
	var cluster string
	var joined []string
	c := &cobra.Command{
		Use:   "users --cluster NAME [--leaf NAME]…",
		Short: "Print the users of a NATS server, with the least permissions that work",
		Long: `Print the users of a NATS server as a file for its config to include. A user is whoever shows a certificate
of its common name: a service's name, slipway for the command, and leaf-NAME for the NATS server of a cluster
that joins. NAME is what that cluster's synchronizer has as its cluster.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			seen := map[string]bool{}
			for _, name := range append([]string{cluster}, joined...) {
				if err := service.CheckCluster(name); err != nil {
					return fmt.Errorf("%w: %w", errUsage, err)
				}
				if seen[name] {
					return fmt.Errorf("%w: cluster %s is named twice", errUsage, name)
				}
				seen[name] = true
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "# Written by `%s`.\n%s", again(cluster, joined), grants.Config(grants.Users(cluster, joined...)))
			return err
		},
	}
	c.Flags().StringVar(&cluster, "cluster", "production", "the cluster of the server")
	c.Flags().StringArrayVar(&joined, "leaf", nil, "a cluster that joins by a leaf node; may be repeated")
	return c
}

// again is the command that gives the same.
func again(cluster string, joined []string) string {
	words := []string{"slipway bus users --cluster", cluster}
	for _, name := range joined {
		words = append(words, "--leaf", name)
	}
	return strings.Join(words, " ")
}
