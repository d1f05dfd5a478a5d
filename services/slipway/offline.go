package slipway

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/synchronizer"
)

func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(printable{cmd.OutOrStdout()})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printable writes JSON so that a terminal shows it and does nothing else:
// what it could take for an order is written as an escape, which JSON only
// ever has within strings. Each Write must be whole characters.
type printable struct{ w io.Writer }

func (p printable) Write(data []byte) (int, error) {
	var b strings.Builder
	for _, r := range string(data) {
		if r < 0x7f || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	if _, err := io.WriteString(p.w, b.String()); err != nil {
		return 0, err
	}
	return len(data), nil
}

func newTry() *cobra.Command {
	var track, current, output string
	var downgrade bool
	c := &cobra.Command{
		Use:   "try --track 'semver: \">=1 <2\"' [TAG…]",
		Short: "Print the tag that a track would move to; tags come as arguments, or one a line on standard input",
		Long: `Print the tag that a track would move to, and nothing when none is better than the current.

Tags come as arguments, or one a line on standard input. A tag may be followed by @ and its digest,
which a digest track compares, and then by the time at which its image was made, which
newest: {order: created} compares:

  main@sha256:… 2026-11-23T20:15:04Z`,
		RunE: func(cmd *cobra.Command, tags []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			if track == "" {
				return fmt.Errorf("%w: --track is required", errUsage)
			}
			if len(tags) == 0 {
				if tags, err = readLines(cmd); err != nil {
					return err
				}
			}
			tried, err := automator.Try(track, current, downgrade, tags)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, tried)
			}
			if tried.Tag != "" {
				fmt.Fprintln(cmd.OutOrStdout(), tried.Tag)
			}
			if tried.Note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "slipway: note:", tried.Note)
			}
			return nil
		},
	}
	c.Flags().StringVar(&track, "track", "", "the track, in YAML as in a policy")
	c.Flags().StringVar(&current, "current", "", "the tag in use, TAG or TAG@DIGEST")
	c.Flags().BoolVar(&downgrade, "allow-downgrade", false, "allow an older tag than the one in use")
	outputFlag(c, &output)
	return c
}

func readLines(cmd *cobra.Command) ([]string, error) {
	var lines []string
	s := bufio.NewScanner(cmd.InOrStdin())
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if line := strings.Trim(s.Text(), " \t\r"); line != "" {
			lines = append(lines, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%w: read tags: %w", errUsage, err)
	}
	return lines, nil
}

func newSet() *cobra.Command {
	var dir string
	var dry bool
	c := &cobra.Command{
		Use:   "set --path DIR REPO[:TAG][@DIGEST]…",
		Short: "Set image references below a folder, changing only their bytes",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			edits, problems, err := automator.Set(cmd.Context(), dir, refs)
			if err != nil {
				return err
			}
			for _, e := range edits {
				if dry {
					fmt.Fprint(cmd.OutOrStdout(), e.Diff(e.Path))
					continue
				}
				if err := e.Write(); err != nil {
					problems = append(problems, err)
					continue
				}
				fmt.Fprintln(cmd.OutOrStdout(), automator.PrintableName(e.Path))
			}
			return errors.Join(problems...)
		},
	}
	c.Flags().StringVar(&dir, "path", ".", "the folder")
	c.Flags().BoolVar(&dry, "dry-run", false, "print a unified diff, and change nothing")
	return c
}

func newRender() *cobra.Command {
	var o synchronizer.RenderOptions
	c := &cobra.Command{
		Use:   "render [--path DIR | -f APPLICATION.yaml] [--vars FILE] [--values FILE]… [--age-key FILE]… [--remote-base PATTERN]…",
		Short: "Print what the synchronizer would apply, in apply order; uses no cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onePath(&o); err != nil {
				return err
			}
			return synchronizer.Render(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	renderFlags(c, &o)
	return c
}

// onePath wants a path or an Application; neither is the folder here.
func onePath(o *synchronizer.RenderOptions) error {
	if o.Path != "" && o.Application != "" {
		return fmt.Errorf("%w: give --path or -f, not both", errUsage)
	}
	if o.Path == "" && o.Application == "" {
		o.Path = "."
	}
	return nil
}

func valuesFlag(c *cobra.Command, o *synchronizer.RenderOptions) {
	c.Flags().StringArrayVar(&o.Values, "values", nil, "a file of a chart's values, in place of the ConfigMaps and Secrets of helm.valuesFrom; may be given several times")
}

func rootVarsFlag(c *cobra.Command, o *synchronizer.RenderOptions) {
	c.Flags().StringVar(&o.RootVars, "root-vars", "", "a file of variables that are replaced in the file of the Application itself, as its root does by its own substitute")
}

func remoteBaseFlag(c *cobra.Command, o *synchronizer.RenderOptions) {
	c.Flags().StringArrayVar(&o.RemoteBases, "remote-base", nil, "what kustomizations may name beyond the repository, as in remoteBases of the config, such as 'github.com/acme/**'; fetched without credentials; may be given several times")
}

// renderFlags say what is rendered.
func renderFlags(c *cobra.Command, o *synchronizer.RenderOptions) {
	c.Flags().StringVar(&o.Path, "path", "", "the folder (default .)")
	c.Flags().StringVarP(&o.Application, "filename", "f", "", "a file with one Application, in the repository that holds its path")
	c.Flags().StringVar(&o.Vars, "vars", "", "a file of variables, KEY=VALUE lines or a YAML mapping, in place of the ConfigMaps and Secrets of substitute.from")
	valuesFlag(c, o)
	rootVarsFlag(c, o)
	c.Flags().StringArrayVar(&o.AgeKeys, "age-key", nil, "a file of age identities, in place of the Secret of decryption; may be given several times")
	remoteBaseFlag(c, o)
	c.Flags().StringVar(&o.Namespace, "namespace", "", "a chart's release namespace (default the Application's destination, else default)")
}
