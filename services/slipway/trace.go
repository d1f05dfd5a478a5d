package slipway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/grants"
	"github.com/slipway-cd/slipway/services/slipway/trace"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/service"
)

func newTrace() *cobra.Command {
	var config, output string
	c := &cobra.Command{
		Use:   "trace REF",
		Short: "Show a change's way; REF is an image, a commit, a chain id or an application",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return list(cmd, config, grants.CommandInbox, output, table, func(ctx context.Context, b *bus.Bus) ([]trace.Chain, error) {
				return trace.Find(ctx, b, args[0])
			})
		},
	}
	configFlag(c, &config)
	outputFlag(c, &output)
	return c
}

// list shows what is found on the bus, as a table or as JSON.
func list[T any](cmd *cobra.Command, config, inbox, output string, table func(io.Writer, []T) error, find func(context.Context, *bus.Bus) ([]T, error)) error {
	asJSON, err := wantJSON(output)
	if err != nil {
		return err
	}
	b, err := connect(cmd.Context(), config, inbox)
	if err != nil {
		return err
	}
	defer b.Close()
	all, err := find(cmd.Context(), b)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, all)
	}
	return table(cmd.OutOrStdout(), all)
}

// connectTimeout bounds how long a command waits for the bus.
const connectTimeout = 5 * time.Second

// connect reaches the bus as the user of [grants] whose inbox it is.
func connect(ctx context.Context, config, inbox string) (*bus.Bus, error) {
	cfg, err := service.Load(config)
	if err != nil {
		return nil, err
	}
	o, err := service.BusOptions(cfg)
	if err != nil {
		return nil, err
	}
	o.Name, o.Inbox, o.Log = "slipway-command", []string{inbox}, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	b, err := bus.Connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return b, nil
}

func table(out io.Writer, chains []trace.Chain) error {
	for i, c := range chains {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "chain %s\n", c.ID)
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "TIME\tELAPSED\tSTEP\tWHAT")
		for _, s := range c.Steps {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Time.Local().Format("15:04:05.000"), elapsed(s.ElapsedMs), s.Step, s.Summary)
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func elapsed(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d < 10*time.Second {
		return fmt.Sprintf("+%d ms", d.Milliseconds())
	}
	return "+" + d.Round(100*time.Millisecond).String()
}
