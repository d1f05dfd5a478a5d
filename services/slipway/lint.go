package slipway

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/synchronizer"
)

// errLint says that lint found something.
var errLint = fmt.Errorf("%w: not all is right", errUsage)

func newLint() *cobra.Command {
	var config, output string
	var strict bool
	c := &cobra.Command{
		Use:   "lint [PATH…] [--config slipway.yaml]",
		Short: "Check applications, policies and holds on disk; needs nothing running",
		Long: `Check the documents of slipway.dev in the YAML files below the paths (default .), each by itself:
unknown fields, and values that the automator would not take. Files that Git doesn't know yet count, too.

With --config, also what they come to together: what counts for nothing where it lies, applications
that are there twice or blocked, rules that never decide, and applications that wait for one that
isn't there, or for each other. Each PATH is then the root of a work tree. It stands for the repository
of the config whose url is the tree's remote origin, or for the only one that the config has. Give the
trees of all of them, else applications of the others aren't known. Secrets of the config are not read.

Each finding is a line "file:line: error|warning: what: what to do". It exits with 2 when one is an error,
or with --strict when there is one.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			if len(paths) == 0 {
				paths = []string{"."}
			}
			found, err := automator.Lint(cmd.Context(), paths, config, synchronizer.CheckHealth)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd, append([]automator.Finding{}, found...)); err != nil {
					return err
				}
			}
			return judge(cmd, found, asJSON, strict)
		},
	}
	c.Flags().StringVar(&config, "config", "", "the config file, which says what counts")
	c.Flags().BoolVar(&strict, "strict", false, "fail for warnings, too")
	outputFlag(c, &output)
	return c
}

// judge prints the findings, unless that is done, and errs where one counts.
func judge(cmd *cobra.Command, found []automator.Finding, printed, strict bool) error {
	var err error
	for _, f := range found {
		if !printed {
			fmt.Fprintln(cmd.OutOrStdout(), automator.PrintableName(f.String()))
		}
		if strict || f.Severity == automator.SeverityError {
			err = errLint
		}
	}
	return err
}

// quiet says that everything about an error is told already.
func quiet(err error) bool { return errors.Is(err, errLint) }
