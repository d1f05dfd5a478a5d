package slipway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/slipway/cutover"
	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/services/synchronizer"
)

// tool is one that can be migrated from.
type tool struct {
	name, title string
	read        func(context.Context, migrate.Options) (migrate.Result, error)
	from        string // what its documents are
	cutover     cutover.Tool
}

var tools = []tool{
	{"flux", "Flux", migrate.Flux, "GitRepository, Kustomization, HelmRelease, ImagePolicy and ImageUpdateAutomation", cutover.Flux},
	{"argocd", "Argo CD", migrate.ArgoCD, "Application, ApplicationSet, AppProject, ImageUpdater and the annotations of the Image Updater", cutover.ArgoCD},
}

func newMigrate() *cobra.Command {
	var subs []*cobra.Command
	for _, t := range tools {
		subs = append(subs, newMigrateFrom(t))
	}
	return group("migrate", "Write the documents that do what another tool's do, and cut over to them", subs...)
}

func newMigrateFrom(t tool) *cobra.Command {
	var o migrate.Options
	var out, output string
	var plan bool
	c := &cobra.Command{
		Use:   t.name + " [PATH] --out DIR | --plan",
		Short: "Write Applications and policies that do what a repository's documents of " + t.title + " do",
		Long: `Read the documents of ` + t.title + ` (` + t.from + `)
in a repository, and write ours that do the same: below DIR, an Application beside the file that it
comes from, and policies in DIR/policies. It needs no cluster, and changes nothing of the repository.

What has no counterpart, or is done in another way, is told with file, line and field, and what to do;
no field is dropped in silence. With --plan everything is printed and nothing is written. PATH is the
repository, or a folder of it (default .). What is written passes ` + "`slipway lint`" + `.

When it is committed, ` + "`slipway migrate " + t.name + " cutover NAMESPACE/NAME`" + ` hands each application over.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := wantJSON(output)
			if err != nil {
				return err
			}
			if (out == "") != plan {
				return fmt.Errorf("%w: give --out DIR to write, or --plan to look", errUsage)
			}
			at := "."
			if len(args) > 0 {
				at = args[0]
			}
			if err := whatToMigrate(at, &o); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			result, err := t.read(cmd.Context(), o)
			if err != nil {
				return err
			}
			if !plan {
				if err := writeMigration(cmd.Context(), out, result); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd, result)
			}
			tellMigration(cmd, out, result)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "the folder to write to; files of it that are there are left alone, and told")
	c.Flags().BoolVar(&plan, "plan", false, "print what would be written, and write nothing")
	c.Flags().StringVar(&o.Repository, "repository", "", "the address of the repository itself, for sources that it doesn't name (default the clone's origin)")
	c.Flags().StringVar(&o.Branch, "branch", "", "its branch (default the clone's, else main)")
	c.Flags().StringVar(&o.Cluster, "cluster", "", "the cluster that is migrated: that of the policies' rules (default any), and what Argo CD may call it")
	outputFlag(c, &output)
	c.AddCommand(newCutover(t.name, t.cutover))
	return c
}

// whatToMigrate finds the repository that holds a folder, and where it was cloned from.
func whatToMigrate(at string, o *migrate.Options) error {
	root, below, err := repositoryOf(at)
	if err != nil {
		return err
	}
	o.FS, o.Below = os.DirFS(root), below
	origin, branch, err := automator.Origin(root)
	if err != nil {
		return fmt.Errorf("%s: read its .git: %w", root, err)
	}
	if _, err := events.ParseGitRepository(origin, nil); err == nil { // a clone's may be a folder
		o.Origin, o.Branch = origin, cmp.Or(o.Branch, branch)
	}
	return nil
}

// repositoryOf is the root of the repository that holds a folder, and the folder in it.
func repositoryOf(at string) (root, below string, err error) {
	dir, err := filepath.Abs(at)
	if err != nil {
		return "", "", err
	}
	if info, err := os.Stat(dir); err != nil {
		return "", "", err
	} else if !info.IsDir() {
		return "", "", fmt.Errorf("%s is not a folder", at)
	}
	root = dir
	for up := dir; up != filepath.Dir(up); up = filepath.Dir(up) {
		if _, err := os.Lstat(filepath.Join(up, ".git")); err == nil {
			root = up
			break
		}
	}
	below, err = filepath.Rel(root, dir)
	return root, filepath.ToSlash(below), err
}

// writeMigration writes the files, and lints them. What is there is not
// overwritten, unless it is the same.
func writeMigration(ctx context.Context, dir string, result migrate.Result) error {
	for _, f := range result.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if old, err := os.ReadFile(name); err == nil {
			if string(old) != f.Data {
				return fmt.Errorf("%w: %s is there already, and another: name an empty folder with --out", errUsage, name)
			}
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(f.Data), 0o644); err != nil {
			return err
		}
	}
	if len(result.Files) == 0 {
		return nil
	}
	found, err := automator.Lint(ctx, []string{dir}, "", synchronizer.CheckHealth)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Severity == automator.SeverityError {
			return fmt.Errorf("what was written is not right: %s", f)
		}
	}
	return nil
}

func tellMigration(cmd *cobra.Command, out string, result migrate.Result) {
	w := cmd.OutOrStdout()
	for _, f := range result.Files {
		if out != "" {
			fmt.Fprintln(w, automator.PrintableName(filepath.Join(out, filepath.FromSlash(f.Path))))
			continue
		}
		fmt.Fprintf(w, "# %s\n%s---\n", automator.PrintableName(f.Path), f.Data)
	}
	for _, n := range result.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), automator.PrintableName(n.String()))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d files, %d applications, %d notes\n", len(result.Files), len(result.Moved), len(result.Notes))
}
