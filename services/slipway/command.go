// Package slipway is the command, and all services in one process.
package slipway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/slipway/backup"
	"github.com/slipway-cd/slipway/services/slipway/bootstrap"
	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/services/slipway/setup"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// The exit codes of the command.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// errUsage marks wrong use or input.
var errUsage = errors.New("wrong use")

// Main runs the command and gives its exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !quiet(err) {
		fmt.Fprintln(errs, "slipway:", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	if refused(err) {
		return exitRefused
	}
	for _, wrong := range []error{errUsage, backup.ErrInput, setup.ErrInput, migrate.ErrInput, bootstrap.ErrInput, automator.ErrInput, synchronizer.ErrInput, service.ErrConfig, webhook.ErrBody, webhook.ErrContentType, webhook.ErrTooLarge} {
		if errors.Is(err, wrong) {
			return exitUsage
		}
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "From a pushed image to running in Kubernetes, by GitOps, event by event",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(
		newInit(),
		newUp(),
		newBackup(),
		newRestore(),
		group("policy", "Look into deployment policies", newTry()),
		group("image", "Edit image references", newSet()),
		group("bus", "Set up the bus", newBusUsers()),
		newRender(),
		newDiff(),
		newMigrate(),
		newBootstrap(),
		newLint(),
		newTrace(),
		group("get", "List what there is", newApprovals(), newHolds(), newDead()),
		newVote("approve", "approved", "Approve a proposal (see `slipway get approvals`)"),
		newVote("reject", "rejected", "Reject a proposal"),
		newRollback(),
		newHold("hold", "Keep a version out of an application"),
		newHold("release", "End a hold"),
		newReplay(),
		newSync(),
		newSuspend(),
		newResume(),
		newProviders(),
		newDecode(),
		newSend(),
		newHealthcheck(),
	)
	usage(root)
	return root
}

func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return fmt.Errorf("%w: %s needs a subcommand (see `%s --help`)", errUsage, name, cmd.CommandPath())
	}}
	c.AddCommand(subs...)
	return c
}

// usage makes every complaint about arguments wrong use.
func usage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usage(sub)
	}
}

// outputFlag adds -o, which is empty or json.
func outputFlag(c *cobra.Command, into *string) {
	c.Flags().StringVarP(into, "output", "o", "", "json for a machine to read")
}

func wantJSON(output string) (bool, error) {
	switch output {
	case "":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, fmt.Errorf("%w: -o %s: only json is known", errUsage, output)
	}
}

func configFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "config", "slipway.yaml", "the config file")
}
