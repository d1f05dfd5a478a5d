package slipway

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/kube"
)

// errDiffers says that there is a difference, and that this counts.
var errDiffers = errors.New("it differs")

func newDiff() *cobra.Command {
	var o synchronizer.DiffOptions
	var kubeconfig, output string
	var exitCode bool
	c := &cobra.Command{
		Use:   "diff [--path DIR | -f APPLICATION.yaml] [--vars FILE] [--values FILE]… [--exit-code]",
		Short: "Print what an apply of a folder or an Application would change in the cluster",
		Long: `Print what an apply of what ` + "`slipway render`" + ` prints would change in the cluster, as unified
diffs: the API server tries each object (a server-side apply as a dry run), and nothing is changed.
Of an Application (-f) that the cluster has, also what would be pruned. It is tried with the rights of
the Application's service account, if you may act for it, else with your own.

Variables, and values of a chart's valuesFrom, come from the ConfigMaps and Secrets of the cluster, unless
--vars and --values give them. Values of Secrets are not shown: equal ones have the same number, others another.

An object that can't be tried is told with file and line, and the others are compared all the same.
It exits with 0, whether there is a difference or not, and with 1 when something failed; with
--exit-code also with 1 when there is a difference.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			if err := onePath(&o.RenderOptions); err != nil {
				return err
			}
			clients, err := clientsFor(kubeconfig)
			if err != nil {
				return err
			}
			o.Note = func(note string) { fmt.Fprintln(cmd.ErrOrStderr(), "slipway: note:", note) }
			changes, err := synchronizer.Diff(cmd.Context(), clients, o)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd, append([]synchronizer.Change{}, changes...)); err != nil {
					return err
				}
			}
			return tellChanges(cmd.OutOrStdout(), cmd.ErrOrStderr(), changes, asJSON, exitCode)
		},
	}
	renderFlags(c, &o.RenderOptions)
	kubeconfigFlag(c, &kubeconfig)
	c.Flags().StringSliceVar(&o.Trusted, "trusted", []string{"slipway-system"}, "namespaces whose Applications act with the synchronizer's own rights, as in its config")
	c.Flags().BoolVar(&o.OwnRights, "own-rights", false, "try it with your own rights, not with those of the Application's account")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when there is a difference")
	outputFlag(c, &output)
	return c
}

// clientsFor are those for the cluster of a kubeconfig.
func clientsFor(kubeconfig string) (*kube.Clients, error) {
	config, err := kube.Load(kube.Options{Kubeconfig: kubeconfig, UserAgent: "slipway"})
	if err != nil {
		return nil, err
	}
	return kube.New(config)
}

// tellChanges prints changes, unless that is done, and errs where one counts.
func tellChanges(out, errs io.Writer, changes []synchronizer.Change, printed, differing bool) error {
	count := map[string]int{}
	differs, failed := false, 0
	for _, c := range changes {
		count[string(c.Action)]++
		differs = differs || c.Differs()
		if c.Action == synchronizer.ChangeFailed {
			failed++
		}
		if !printed {
			tellChange(out, errs, c)
		}
	}
	if !printed {
		fmt.Fprintf(errs, "%d created, %d changed, %d pruned, %d unchanged, %d failed\n", count["created"], count["changed"], count["pruned"], count["unchanged"], failed)
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d objects could not be compared", failed, len(changes))
	case differs && differing:
		return errDiffers
	}
	return nil
}

func tellChange(out, errs io.Writer, c synchronizer.Change) {
	where := ""
	if c.Where != "" {
		where = automator.PrintableName(c.Where) + ": "
	}
	if !c.Differs() {
		if c.Message != "" {
			fmt.Fprintf(errs, "%s%s: %s: %s\n", where, c, c.Action, c.Message)
		}
		return
	}
	head := fmt.Sprintf("%s%s: %s", where, c, c.Action)
	if c.Message != "" {
		head += " (" + c.Message + ")"
	}
	fmt.Fprintf(out, "%s\n%s", head, c.Diff)
}
