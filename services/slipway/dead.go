package slipway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/grants"
	"github.com/slipway-cd/slipway/shared/bus"
)

// deadLetter is what is shown of one.
type deadLetter struct {
	ID       uint64          `json:"id"`
	Consumer string          `json:"consumer"`
	What     string          `json:"what"`
	Chain    string          `json:"chain,omitempty"`
	Reason   string          `json:"reason"`
	Tries    int             `json:"tries"`
	Stored   time.Time       `json:"stored"`
	Died     time.Time       `json:"died"`
	Event    json.RawMessage `json:"event,omitempty"`
}

func shown(d bus.DeadLetter) deadLetter {
	s := deadLetter{ID: d.ID, Consumer: d.Consumer, Reason: d.Reason, Tries: d.Tries, Stored: d.Stored, Died: d.At}
	switch {
	case d.Event != nil:
		s.What, s.Chain, s.Event = d.Event.Type().Short()+" "+d.Event.Payload.SubjectID(), d.Event.ChainID, d.Data
	case d.Subject != "":
		s.What = fmt.Sprintf("%d bytes that are no event", len(d.Data))
	default:
		s.What = "work for " + d.Key
	}
	return s
}

func newDead() *cobra.Command {
	var config, consumer, output string
	c := &cobra.Command{
		Use:   "dead",
		Short: "List events and work that could not be handled, and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd, config, grants.OperatorInbox, output, deadTable, func(ctx context.Context, b *bus.Bus) ([]deadLetter, error) {
				return letters(ctx, b, consumer)
			})
		},
	}
	configFlag(c, &config)
	outputFlag(c, &output)
	c.Flags().StringVar(&consumer, "consumer", "", "only of this consumer or queue")
	return c
}

func letters(ctx context.Context, b *bus.Bus, consumer string) ([]deadLetter, error) {
	dead, err := b.Dead(ctx)
	if err != nil {
		return nil, err
	}
	all := []deadLetter{}
	for _, d := range dead {
		if consumer == "" || d.Consumer == consumer {
			all = append(all, shown(d))
		}
	}
	return all, nil
}

func deadTable(out io.Writer, all []deadLetter) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "nothing is dead")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tDIED\tCONSUMER\tWHAT\tTRIES\tREASON")
	for _, d := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", d.ID, d.Died.Local().Format(time.DateTime), d.Consumer, d.What, d.Tries, firstLine(d.Reason))
	}
	return w.Flush()
}

func firstLine(s string) string {
	line, rest, _ := strings.Cut(s, "\n")
	if rest != "" {
		return line + " …"
	}
	return line
}

func newReplay() *cobra.Command {
	var config, consumer string
	var all bool
	c := &cobra.Command{
		Use:   "replay ID… | --all [--consumer NAME]",
		Short: "Give dead letters back to who could not handle them (see `slipway get dead`)",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) || consumer != "" && !all {
				return fmt.Errorf("%w: name dead letters by their ids, or --all of them, with --consumer those of one", errUsage)
			}
			var ids []uint64
			for _, arg := range args {
				id, err := strconv.ParseUint(arg, 10, 64)
				if err != nil {
					return fmt.Errorf("%w: %q is no id of a dead letter: `slipway get dead` lists them", errUsage, arg)
				}
				ids = append(ids, id)
			}
			b, err := connect(cmd.Context(), config, grants.OperatorInbox)
			if err != nil {
				return err
			}
			defer b.Close()
			if all {
				dead, err := letters(cmd.Context(), b, consumer)
				if err != nil {
					return err
				}
				for _, d := range dead {
					ids = append(ids, d.ID)
				}
			}
			return replay(cmd, b, ids)
		},
	}
	configFlag(c, &config)
	c.Flags().BoolVar(&all, "all", false, "all of them")
	c.Flags().StringVar(&consumer, "consumer", "", "with --all, those of one consumer or queue")
	return c
}

// replay gives back what it can, and tells the faults of the others.
func replay(cmd *cobra.Command, b *bus.Bus, ids []uint64) error {
	var faults []error
	for _, id := range ids {
		if err := b.Replay(cmd.Context(), id); err != nil {
			faults = append(faults, err)
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "replayed %d\n", id)
	}
	return errors.Join(faults...)
}
