package setup

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// Tell writes what to do next: at the registry and at the Git host, by the
// recipes of their providers, and on this machine. Secrets are named by their
// files, and shown only where show says so.
func (a Answers) Tell(w io.Writer, registry, git webhook.Provider, show bool) error {
	fmt.Fprintf(w, "Wrote %s, with secrets in %s.\n", a.Config, a.Secrets)
	for _, s := range []struct {
		title, name string
		p           webhook.Provider
	}{
		{fmt.Sprintf("At the registry %s (%s)", a.Registry.Host, a.Registry.Provider), registrySource, registry},
		{fmt.Sprintf("At the Git host, for %s (%s)", a.Git.URL, a.Git.Provider), gitSource, git},
	} {
		if err := a.tellSender(w, s.title, s.name, s.p.Setup, show); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nOn this machine:")
	if a.Git.Token == "" && !a.bySSH() {
		fmt.Fprintf(w, "  - a token that may push to %s: put it in a file of mode 0600, and name that at the repository's credentials\n", a.Git.URL)
	}
	if a.Cert == "" && strings.HasPrefix(a.URL, "https://") {
		fmt.Fprintf(w, "  - TLS: %s must end at a proxy before listen.hooks, or listen.tls have a certificate\n", a.URL)
	}
	if a.Kubeconfig == "" {
		fmt.Fprintln(w, "  - the cluster's kubeconfig: name it at synchronizer.kubeconfig, unless $KUBECONFIG or ~/.kube/config is the one")
	}
	if a.Systemd {
		fmt.Fprintln(w, "  - systemctl enable --now slipway (deploy/systemd/README.md)")
	} else {
		fmt.Fprintf(w, "  - slipway up --config %s\n", a.Config)
	}
	kubeconfig := ""
	if a.Kubeconfig != "" {
		kubeconfig = " --kubeconfig " + a.Kubeconfig
	}
	fmt.Fprintf(w, "  - the root Application, once for each cluster, in Git and in the cluster:\n    slipway bootstrap --no-controller --config %s%s --repository %s --branch %s --path %s\n",
		a.Config, kubeconfig, a.Git.URL, a.Git.Branch, a.Git.Root)
	return nil
}

func (a Answers) tellSender(w io.Writer, title, name string, s webhook.Setup, show bool) error {
	secret := service.Secret{File: a.secretFile(name)}
	shown := "THE-SECRET"
	if show && a.has(name) {
		var err error
		if shown, err = secret.Read(); err != nil {
			return err
		}
	}
	address := a.URL + service.HookPrefix + name
	words := strings.NewReplacer(
		"https://YOUR-RECEIVER"+service.HookPrefix+"{source}", address, service.HookPrefix+"{source}", address,
		"{source}", name, "{secret}", shown, "THE-SOURCE'S-SECRET", shown)
	fmt.Fprintf(w, "\n%s:\n  address: %s\n", title, address)
	for _, line := range []struct{ what, text string }{{"where:  ", s.Where}, {"events: ", s.Events}, {"secret: ", s.Secret}} {
		fmt.Fprintf(w, "  %s %s\n", line.what, words.Replace(line.text))
	}
	switch {
	case !a.has(name):
	case show:
		fmt.Fprintf(w, "  the source's secret: %s\n", shown)
	default:
		fmt.Fprintf(w, "  the source's secret is in %s (--show-secrets prints it)\n", secret.File)
	}
	return nil
}

// has says whether a source has a secret of ours.
func (a Answers) has(source string) bool {
	return slices.Contains(a.sources(), source)
}
