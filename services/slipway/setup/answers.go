// Package setup makes a new installation's config: from a few answers a
// commented file, the secrets that it names, and the words that tell what to set
// at the registry and at the Git host.
package setup

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/service"
)

// ErrInput says that an answer is missing or wrong.
var ErrInput = errors.New("the answers make no config")

// Answers are what only the user knows. What is left out is guessed from the
// rest, by [Answers.Complete].
type Answers struct {
	Config  string // the file to write
	Secrets string // the folder for secrets; default: secrets beside the config
	// Systemd says that the process reads the files of that folder where systemd
	// puts its credentials.
	Systemd bool
	Data    string
	Cluster string
	URL     string // by which senders reach the listener for webhooks

	Registry Registry
	Git      Git

	Hooks, API, Metrics string // listeners; empty is the config's default
	Bus                 string // where the embedded bus listens; likewise
	Cert, Key           string // TLS of hooks and API
	Kubeconfig          string
}

// Registry is the registry whose webhooks tell of images.
type Registry struct {
	Provider, Host string
	Endpoint       string // where it is called, if not https://<host>
	User           string
	Token          string // the file with the user's token or password
	Topic          string // the SNS topic's ARN, for aws-sns
	Email          string // the push subscription's account, for gar
}

// Git is the config repo and its host.
type Git struct {
	Provider, URL, Branch string
	Token                 string // the file with a token that may push
	SSHKey, KnownHosts    string // files, for an address by SSH
	Topic                 string // the SNS topic's ARN, for aws-sns
	Root, Policies        string // paths in the repo
}

// The names of the two sources.
const (
	registrySource = "registry"
	gitSource      = "git"
)

// registryHosts say by its host what a registry's provider is.
var registryHosts = []struct {
	provider string
	host     *regexp.Regexp
}{
	{"github", regexp.MustCompile(`^ghcr\.io$`)},
	{"dockerhub", regexp.MustCompile(`^(index\.|registry-1\.)?docker\.io$`)},
	{"quay", regexp.MustCompile(`^quay\.io$`)},
	{"acr", regexp.MustCompile(`\.azurecr\.io$`)},
	{"ecr", regexp.MustCompile(`\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com$`)},
	{"gar", regexp.MustCompile(`(-docker\.pkg\.dev|^([a-z]+\.)?gcr\.io)$`)},
	{"aliyun-acr", regexp.MustCompile(`\.aliyuncs\.com$`)},
	{"oracle-ocir", regexp.MustCompile(`\.ocir\.io$`)},
	{"cloudsmith", regexp.MustCompile(`^docker\.cloudsmith\.io$`)},
}

// gitHosts likewise.
var gitHosts = map[string]string{
	"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket-cloud", "dev.azure.com": "azure-devops",
	"ssh.dev.azure.com": "azure-devops", "codeberg.org": "forgejo", "gitee.com": "gitee",
}

// GuessRegistry is the provider of a registry's host, empty where it isn't known.
func GuessRegistry(host string) string {
	for _, k := range registryHosts {
		if k.host.MatchString(strings.ToLower(host)) {
			return k.provider
		}
	}
	return ""
}

// GuessGit is the provider of a repository's host, empty where it isn't known.
func GuessGit(address string) string {
	name, err := events.ParseGitRepository(address, nil)
	if err != nil {
		return ""
	}
	host, _, _ := strings.Cut(string(name), "/")
	return gitHosts[host]
}

// Complete fills what was left out.
func (a Answers) Complete() Answers {
	orElse := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	a.URL = strings.TrimRight(a.URL, "/")
	orElse(&a.Secrets, filepath.Join(filepath.Dir(a.Config), "secrets"))
	orElse(&a.Data, "/var/lib/slipway")
	orElse(&a.Registry.Provider, GuessRegistry(a.Registry.Host))
	orElse(&a.Git.Provider, GuessGit(a.Git.URL))
	orElse(&a.Git.Branch, "main")
	if a.Cluster != "" {
		orElse(&a.Git.Root, "clusters/"+a.Cluster)
	}
	orElse(&a.Git.Policies, "policies")
	for _, file := range []*string{&a.Secrets, &a.Data, &a.Registry.Token, &a.Git.Token, &a.Git.SSHKey, &a.Git.KnownHosts, &a.Cert, &a.Key, &a.Kubeconfig} {
		if abs, err := filepath.Abs(*file); err == nil && *file != "" {
			*file = abs // a service has another working folder
		}
	}
	return a
}

// Check tells all faults that the config's own reading would not, or not in
// words of the answers.
func (a Answers) Check() error {
	var all []error
	fault := func(flag, format string, args ...any) {
		all = append(all, fmt.Errorf("--%s: %w", flag, fmt.Errorf(format, args...)))
	}
	for _, need := range []struct{ flag, value, what string }{
		{"cluster", a.Cluster, "the cluster's name, such as production"},
		{"url", a.URL, "the address by which registry and Git host reach this machine, such as https://slipway.example.com"},
		{"registry-host", a.Registry.Host, "the registry's host as it stands in image references, such as ghcr.io"},
		{"git-url", a.Git.URL, "the config repo's address, such as https://git.example.com/acme/config.git"},
	} {
		if need.value == "" {
			fault(need.flag, "it is needed: %s", need.what)
		}
	}
	if u, err := url.Parse(a.URL); a.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http")) {
		fault("url", "it must be https:// or http:// with a host, and no more than a path behind it")
	}
	a.checkProviders(fault)
	if a.Registry.Email != "" && a.Registry.Provider != "gar" {
		fault("registry-oidc-email", "it is for gar")
	}
	if (a.Cert == "") != (a.Key == "") {
		fault("tls-cert", "it and --tls-key are given together or not at all")
	}
	if (a.Registry.Token == "") != (a.Registry.User == "") {
		fault("registry-user", "it and --registry-token-file are given together or not at all")
	}
	if (a.Git.SSHKey == "") != (a.Git.KnownHosts == "") {
		fault("git-ssh-key", "it and --git-known-hosts are given together (`ssh-keyscan HOST` writes the latter)")
	}
	if a.Git.SSHKey == "" && a.bySSH() {
		fault("git-ssh-key", "an address by SSH needs it, and --git-known-hosts")
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("%w:\n%w", ErrInput, err)
	}
	return nil
}

func (a Answers) checkProviders(fault func(flag, format string, args ...any)) {
	for _, p := range []struct{ flag, service, name, topic, given string }{
		{"registry-provider", "registry-receiver", a.Registry.Provider, "registry-topic", a.Registry.Topic},
		{"git-provider", "git-receiver", a.Git.Provider, "git-topic", a.Git.Topic},
	} {
		known := service.Providers(p.service)
		switch {
		case p.name == "":
			fault(p.flag, "it is needed, since the host doesn't tell: one of %s", strings.Join(known, ", "))
		case !slices.Contains(known, p.name):
			fault(p.flag, "%q is none of %s", p.name, strings.Join(known, ", "))
		case p.name == "aws-sns" && p.given == "":
			fault(p.topic, "it is needed for aws-sns: the ARN of the topic that may send")
		}
	}
}

// Credentials begins the paths at which a unit's process finds the files of
// LoadCredential=secrets:FOLDER.
const Credentials = "/run/credentials/slipway.service/secrets_"

// atRun are the answers with the paths that the process has.
func (a Answers) atRun() Answers {
	if !a.Systemd {
		return a
	}
	for _, file := range []*string{&a.Registry.Token, &a.Git.Token, &a.Git.SSHKey, &a.Git.KnownHosts, &a.Cert, &a.Key, &a.Kubeconfig} {
		if dir, name := filepath.Split(*file); *file != "" && filepath.Clean(dir) == a.Secrets {
			*file = Credentials + name
		}
	}
	a.Secrets = Credentials
	return a
}

// bySSH says whether the config repo is reached by SSH.
func (a Answers) bySSH() bool {
	u, err := url.Parse(a.Git.URL)
	return err != nil || u.Scheme == "ssh" || (u.Scheme == "" && strings.Contains(a.Git.URL, ":"))
}
