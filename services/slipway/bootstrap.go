package slipway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/services/slipway/bootstrap"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/service"
)

// bootstrapFlags are what `slipway bootstrap` is given beside its options.
type bootstrapFlags struct {
	kubeconfig, config, tokenEnv, user string
	without, dry                       bool
}

func newBootstrap() *cobra.Command {
	o := bootstrap.Options{Controller: true}
	var f bootstrapFlags
	c := &cobra.Command{
		Use:   "bootstrap --repository URL --path PATH [--branch main] [--cluster NAME]",
		Short: "Begin a cluster: the root Application and the synchronizer, in Git and in the cluster",
		Long: `Begin a cluster. The root Application, which applies everything below PATH of the config repo, and the
synchronizer's manifests are committed to PATH and applied to the cluster, with the CRDs. From then on all
comes from Git, they themselves included: to upgrade the synchronizer, change its image there.

What is in Git already stands and is what is applied: a second time changes nothing, and an empty cluster
comes to the same state. Giving --image or --bus-url writes the synchronizer's manifests anew.

The Git host's credentials are those that --config has for the repository, or a token in the variable that
--git-token-env names, which becomes Secret slipway-git of the cluster and never gets into Git.

It exits with 2 for what can't be, and with 3 where the Git host refuses, or PATH is another cluster's.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Repository == "" || o.Path == "" {
				return fmt.Errorf("%w: --repository and --path are required", errUsage)
			}
			o.Controller = !f.without
			o.Anew = cmd.Flags().Changed("image") || cmd.Flags().Changed("bus-url")
			return runBootstrap(cmd, o, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Repository, "repository", "", "the config repo's address")
	flags.StringVar(&o.Branch, "branch", "main", "its branch")
	flags.StringVar(&o.Path, "path", "", "the folder that describes the cluster, such as clusters/production")
	flags.StringVar(&o.Namespace, "namespace", "slipway-system", "the namespace of the root Application and the synchronizer")
	flags.StringVar(&o.Cluster, "cluster", "", "the cluster's name (default the last part of the path)")
	flags.StringVar(&o.Image, "image", "ghcr.io/slipway-cd/synchronizer:"+version(), "the synchronizer's image")
	flags.StringVar(&o.BusURL, "bus-url", "nats://nats:4222", "the bus, as seen from the cluster")
	flags.BoolVar(&f.without, "no-controller", false, "install no synchronizer: one runs beside the cluster, such as by `slipway up`")
	flags.BoolVar(&f.dry, "dry-run", false, "print everything, and change nothing")
	flags.StringVar(&f.config, "config", "", "a config file that has the repository's credentials")
	flags.StringVar(&f.tokenEnv, "git-token-env", "SLIPWAY_GIT_TOKEN", "the variable with the Git host's token or password")
	flags.StringVar(&f.user, "git-user", "", "the user that goes with it")
	kubeconfigFlag(c, &f.kubeconfig)
	return c
}

var release = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// version is that of this program; "latest" for one that was not released.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && release.MatchString(info.Main.Version) {
		return info.Main.Version
	}
	return "latest"
}

func runBootstrap(cmd *cobra.Command, o bootstrap.Options, f bootstrapFlags) error {
	if err := o.Check(); err != nil {
		return err
	}
	var err error
	if o, err = withGit(o, f); err != nil {
		return err
	}
	if f.dry {
		text, err := bootstrap.Plan(o)
		if err == nil {
			fmt.Fprint(cmd.OutOrStdout(), text)
		}
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-bootstrap-")
	if err != nil {
		return fmt.Errorf("make a folder for the repository: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.Git.Dir = filepath.Join(dir, "git")
	o.Say = func(what string) { fmt.Fprintln(cmd.OutOrStdout(), what) }
	o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	return bootstrapCluster(cmd.Context(), o, f.kubeconfig)
}

func bootstrapCluster(ctx context.Context, o bootstrap.Options, kubeconfig string) error {
	clients, err := clientsFor(kubeconfig)
	if err != nil {
		return err
	}
	return bootstrap.Run(ctx, clients, o)
}

// withGit adds how the repository is reached, and who commits.
func withGit(o bootstrap.Options, f bootstrapFlags) (bootstrap.Options, error) {
	o.Name, o.Email = "Slipway", "slipway@localhost"
	o.Git = gitrepo.Options{URL: o.Repository, Branch: o.Branch, User: f.user, Password: os.Getenv(f.tokenEnv)}
	if f.config == "" {
		return o, nil
	}
	cfg, err := service.LoadRepositories(f.config)
	if err != nil {
		return o, err
	}
	own := service.Repository{URL: o.Repository, Branch: o.Branch}
	name, err := own.Name(cfg.GitAliases())
	if err != nil {
		return o, fmt.Errorf("%w: --repository: %w", errUsage, err)
	}
	for _, r := range cfg.Repositories {
		if known, err := r.Name(cfg.GitAliases()); err == nil && known == name {
			own = r
			own.URL, own.Branch = o.Repository, o.Branch
		}
	}
	git, err := gitconfig.Options(cfg, own)
	if err != nil {
		return o, fmt.Errorf("%s: repository %s: %w", f.config, name, err)
	}
	git.User, git.Password = cmp.Or(git.User, o.Git.User), cmp.Or(git.Password, o.Git.Password)
	o.Git = git
	if o.Name, o.Email, err = cfg.Automator.Commit.Identity(); err != nil {
		return o, fmt.Errorf("%s: automator.commit.author: %w", f.config, err)
	}
	o.Signer, err = gitconfig.Signer(cfg.Automator.Commit)
	return o, err
}
