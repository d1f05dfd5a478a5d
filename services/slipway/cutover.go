package slipway

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/cutover"
	"github.com/slipway-cd/slipway/services/synchronizer"
)

// newCutover is `slipway migrate TOOL cutover`.
func newCutover(name string, from cutover.Tool) *cobra.Command {
	o := cutover.Options{Tool: from}
	var kubeconfig string
	c := &cobra.Command{
		Use:   "cutover NAMESPACE/NAME -f APPLICATION.yaml…",
		Short: "Hand one application of the cluster over from " + from.Name + ", without an object made anew",
		Long: `Hand one application of the cluster over from ` + from.Name + `. APPLICATION.yaml is ours, in its
repository (see ` + "`slipway migrate " + name + "`" + `); NAMESPACE/NAME is theirs. Where several of ours share what theirs
was, as of an Application of several sources, give the file of each: they are cut over together.

1. Theirs is suspended, and so is what writes its images.
2. Ours is applied, suspended.
3. What ours would change is shown; it goes on only when that is nothing, or with --allow-diff.
4. The fields that ` + from.Name + ` and those before it applied become ours, so that what leaves Git leaves the cluster.
5. Prune and finalizer of theirs are switched off, and theirs is deleted: nothing goes with it.
6. Ours is resumed, if no object was made anew.

Every step may be done twice: after a crash, give the same command again. --plan tells the steps and
does none. It exits with 3 where it refuses to go on.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ok bool
			if o.Namespace, o.Name, ok = strings.Cut(args[0], "/"); !ok || o.Namespace == "" || o.Name == "" || strings.Contains(o.Name, "/") {
				return fmt.Errorf("%w: name the application as NAMESPACE/NAME", errUsage)
			}
			if len(o.Files) == 0 {
				return fmt.Errorf("%w: name the file of our Application with -f", errUsage)
			}
			clients, err := clientsFor(kubeconfig)
			if err != nil {
				return err
			}
			out, errs := cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.Diff.Note = func(note string) { fmt.Fprintln(errs, "slipway: note:", note) }
			o.Say = func(what string) { fmt.Fprintln(out, what) }
			o.Show = func(change synchronizer.Change) { tellChange(out, errs, change) }
			return cutover.Run(cmd.Context(), clients, o)
		},
	}
	c.Flags().StringArrayVarP(&o.Files, "filename", "f", nil, "the file with our Application, in the repository that holds its path; may be given several times")
	c.Flags().StringVar(&o.Diff.Vars, "vars", "", "a file of variables in place of the ConfigMaps and Secrets of substitute.from")
	valuesFlag(c, &o.Diff.RenderOptions)
	rootVarsFlag(c, &o.Diff.RenderOptions)
	c.Flags().StringArrayVar(&o.Diff.AgeKeys, "age-key", nil, "a file of age identities, in place of the Secret of decryption; may be given several times")
	remoteBaseFlag(c, &o.Diff.RenderOptions)
	c.Flags().StringVar(&o.Kind, "kind", "", "the kind of theirs, where there are two of a name")
	c.Flags().StringSliceVar(&o.Diff.Trusted, "trusted", []string{"slipway-system"}, "namespaces whose Applications act with the synchronizer's own rights, as in its config")
	c.Flags().BoolVar(&o.Diff.OwnRights, "own-rights", false, "try it with your own rights, not with those of the Application's account")
	c.Flags().BoolVar(&o.AllowDiff, "allow-diff", false, "go on though something would change")
	c.Flags().BoolVar(&o.Plan, "plan", false, "tell the steps, and do none")
	kubeconfigFlag(c, &kubeconfig)
	return c
}
