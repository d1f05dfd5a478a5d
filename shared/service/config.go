// Package service is what every Slipway process is made of: the one config
// file with its overrides, logs, metrics, health, listeners and a drain that
// loses nothing.
package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// Config is the whole config file. Each service reads its part; a field that
// is left out has the default that stands beside it.
type Config struct {
	// Cluster names the synchronizer's own cluster.
	Cluster string `yaml:"cluster"`
	// Data is the folder for mirrors and embedded JetStream.
	Data         string       `yaml:"data"` // default /var/lib/slipway
	Bus          Bus          `yaml:"bus"`
	Listen       Listen       `yaml:"listen"`
	Registries   []Registry   `yaml:"registries"`
	Repositories []Repository `yaml:"repositories"`
	// RemoteBases are patterns of what kustomizations may name beyond their
	// repository, such as github.com/kubernetes-sigs/**: repositories, and addresses
	// of files without the scheme. One that begins with http:// allows plain http.
	RemoteBases []string `yaml:"remoteBases"` // default none
	// Sigstore says whose keyless signatures count where a policy (of images) or an
	// Application (of its chart) brings no roots of its own.
	Sigstore Sigstore `yaml:"sigstore"`
	// Credentials are for the Git addresses of which nothing else says any.
	Credentials  []PrefixCredentials `yaml:"credentials"`
	Receivers    Receivers           `yaml:"receivers"`
	Automator    Automator           `yaml:"automator"`
	Synchronizer Synchronizer        `yaml:"synchronizer"`
	Sweep        Sweep               `yaml:"sweep"`
	Tracing      Tracing             `yaml:"tracing"`

	// File is where the config was read from, empty for none.
	File string `yaml:"-"`
	// loaded tells the contents of all files apart, as they were then.
	loaded [sha256.Size]byte
}

// Bus says where JetStream is: at URL, or in this process.
type Bus struct {
	URL         string      `yaml:"url"` // nats://host:port
	Credentials Credentials `yaml:"credentials"`
	TLS         BusTLS      `yaml:"tls"`      // to a server that wants it; default as the server says
	Replicas    int         `yaml:"replicas"` // of streams; default 1
	Embedded    *Embedded   `yaml:"embedded"`
}

// BusTLS has the files (PEM) of an encrypted connection to the bus. They are read
// at each connection.
type BusTLS struct {
	CA   string `yaml:"ca"`   // authorities of the server; default the system's
	Cert string `yaml:"cert"` // our own certificate, by which the server may know us
	Key  string `yaml:"key"`  // of the certificate
}

// Embedded is a JetStream server inside of `slipway up`.
type Embedded struct {
	// Sync is "always" (survives power loss; the default) or "default"
	// (survives a killed process).
	Sync string `yaml:"sync"`
	// Listen is where other processes reach it; default 127.0.0.1:4222.
	Listen string `yaml:"listen"`
}

// Listen has the addresses of the three listeners, "host:port". A host may
// be left out; port 0 takes a free one.
type Listen struct {
	Hooks   string `yaml:"hooks"`   // default :8080
	API     string `yaml:"api"`     // default 127.0.0.1:8081
	Metrics string `yaml:"metrics"` // default :9090
	TLS     TLS    `yaml:"tls"`     // of hooks and api; default plain HTTP
}

// Secret names where a secret lies: exactly one of File and Env.
type Secret struct {
	File string `yaml:"file"`
	Env  string `yaml:"env"`
}

// Credentials are what a host wants to see.
type Credentials struct {
	File         string     `yaml:"file"`         // NATS credentials
	User         string     `yaml:"user"`         // with password
	Password     *Secret    `yaml:"password"`     //
	Token        *Secret    `yaml:"token"`        //
	DockerConfig string     `yaml:"dockerConfig"` // a docker config.json
	Ambient      string     `yaml:"ambient"`      // of a registry: ecr, gcr or acr, the machine's own identity
	SSH          *SSH       `yaml:"ssh"`          // of a Git host
	GitHubApp    *GitHubApp `yaml:"githubApp"`    // of a Git host
}

// Registry is how one registry host is reached.
type Registry struct {
	Host        string      `yaml:"host"`     // as it stands in image references
	Endpoint    string      `yaml:"endpoint"` // where it is called; default https://<host>
	Insecure    bool        `yaml:"insecure"` // allow http, and TLS that isn't verified
	Aliases     []string    `yaml:"aliases"`  // other names of the same registry
	Credentials Credentials `yaml:"credentials"`
	Mirrors     []Mirror    `yaml:"mirrors"` // which have its images, too
}

// Repository is a config repo.
type Repository struct {
	URL         string       `yaml:"url"`     // https://, ssh:// or user@host:path
	Branch      string       `yaml:"branch"`  // default main
	Aliases     []string     `yaml:"aliases"` // other addresses of the same repo
	Credentials Credentials  `yaml:"credentials"`
	Host        GitHost      `yaml:"host"`  // where pull requests are made
	CA          *Secret      `yaml:"ca"`    // certificates in PEM form, beside the system's
	Proxy       string       `yaml:"proxy"` // http://, https:// or socks5://; default HTTPS_PROXY and its kin
	Roots       []Root       `yaml:"roots"`
	Policies    []PolicyPath `yaml:"policies"`
	// DocumentsFrom are patterns of the repositories, as host/path, whose Applications may have
	// this one as their source and be moved in it, by their own policies, too.
	DocumentsFrom []string `yaml:"documentsFrom"`
}

// Root is a path of a config repo and the cluster that it describes.
type Root struct {
	Cluster string `yaml:"cluster"` // its name, as cluster in its own config
	Path    string `yaml:"path"`    // a folder of the repo
}

// PolicyPath is a path with policies and the applications for which they may
// speak.
type PolicyPath struct {
	Path         string   `yaml:"path"`         // a folder of the repo
	Applications []string `yaml:"applications"` // patterns of cluster/namespace/name
}

// Receivers has the sources of webhooks.
type Receivers struct {
	// Sources are those of the config file, then those of the files in
	// sources.d beside it.
	Sources []Source `yaml:"sources"`
	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies []string `yaml:"proxies"`
}

// Source is one sender of webhooks: /hooks/<name>.
type Source struct {
	Name     string   `yaml:"name"`     // the webhook goes to /hooks/<name>
	Provider string   `yaml:"provider"` // what sends; `slipway providers` lists them
	Registry string   `yaml:"registry"` // public host of a registry
	Host     string   `yaml:"host"`     // public host of a Git host
	Secrets  []Secret `yaml:"secrets"`
	Insecure bool     `yaml:"insecure"` // take it without any proof
	// MaxBody is the limit for a body in bytes; 0 is the provider's.
	MaxBody int64 `yaml:"maxBody"`
	// Header names the header with a fixed secret, for providers that let a
	// user choose one; empty is the provider's own.
	Header string `yaml:"header"`
	// Signature says how a provider proves itself that has several ways; its
	// documentation lists them.
	Signature string `yaml:"signature"`
	// Topics are the ARNs that an SNS source takes.
	Topics []string `yaml:"topics"`
	// OIDC is what a sender's identity token must say.
	OIDC *OIDC `yaml:"oidc"`
	// Allow are the addresses and networks that may send; none means all.
	Allow []string `yaml:"allow"`
	// Rate bounds the source's webhooks; default 1,000 a second.
	Rate Rate `yaml:"rate"`
	// Mapping says how provider generic reads a body.
	Mapping map[string]string `yaml:"mapping"`

	// From is the source's own file in sources.d, empty for the config file.
	From string `yaml:"-"`
}

// Rate is a number of webhooks a second, and how many may come at once.
type Rate struct {
	PerSecond float64 `yaml:"perSecond"` // on average
	Burst     int     `yaml:"burst"`     // at once
}

// OIDC is what an identity token must say.
type OIDC struct {
	Issuer   string `yaml:"issuer"`   // empty is the provider's own
	Audience string `yaml:"audience"` // required
	Email    string `yaml:"email"`    // of the service account, where there is one
	Subject  string `yaml:"subject"`  // of the token, where any may not send
}

// Automator is the Deploy Automator's part.
type Automator struct {
	Debounce Debounce `yaml:"debounce"`
	Commit   Commit   `yaml:"commit"`
	// People may vote, hold and roll back through the automator's API; so may
	// those whom the issuers of OIDC know.
	People []Person      `yaml:"people"`
	OIDC   []OIDCPersons `yaml:"oidc"`
}

// Person is someone whom the automator knows by a token.
type Person struct {
	Name   string   `yaml:"name"`   // as approvals and commits name it
	Groups []string `yaml:"groups"` // which policies may name
	Token  Secret   `yaml:"token"`
}

// minToken is the least length of a person's token, in bytes: a word could be
// guessed.
const minToken = 16

// Debounce is how long changes to one repo wait for company.
type Debounce struct {
	Quiet   time.Duration `yaml:"quiet"`   // since the last; default 20ms
	Longest time.Duration `yaml:"longest"` // since the first; default 1s
	// Pace is how long after one commit other images wait for company; 250ms.
	// Another push of an image that was in it doesn't wait.
	Pace time.Duration `yaml:"pace"`
}

// Commit says how commits look.
type Commit struct {
	Author string `yaml:"author"` // "Name <mail>"; default Slipway <slipway@localhost>
	Sign   *Sign  `yaml:"sign"`   // default: not signed
	// Message is a Go template of how messages of releases begin; empty is
	// "slipway: move APPLICATION to TAG".
	Message string `yaml:"message"`
}

// Synchronizer is the Deploy Synchronizer's part.
type Synchronizer struct {
	Kubeconfig  string   `yaml:"kubeconfig"`  // default: in cluster, $KUBECONFIG, ~/.kube/config
	Trusted     []string `yaml:"trusted"`     // namespaces that act with our own rights; default slipway-system
	Concurrency int      `yaml:"concurrency"` // applications at a time; default 8
	// DegradedAfter is how long an application that was healthy may not be
	// ready before it is told to be degraded; default 30s.
	DegradedAfter time.Duration `yaml:"degradedAfter"`
}

// Sweep is the slow poll that finds what no webhook told of.
type Sweep struct {
	Interval time.Duration `yaml:"interval"` // default 5m
}

// Tracing says where OpenTelemetry's spans are sent.
type Tracing struct {
	// Endpoint is a collector's base URL for OTLP over HTTP, such as
	// http://collector:4318; without it nothing is traced.
	Endpoint string `yaml:"endpoint"`
	// Headers go with each request, such as Authorization.
	Headers map[string]Secret `yaml:"headers"`
	// Sample is the share of chains that are traced, from 0 to 1; default 1.
	Sample *float64 `yaml:"sample"`
}

// withDefaults fills what was left out.
func (c Config) withDefaults() Config {
	def(&c.Data, "/var/lib/slipway")
	def(&c.Listen.Hooks, ":8080")
	def(&c.Listen.API, "127.0.0.1:8081")
	def(&c.Listen.Metrics, ":9090")
	def(&c.Bus.Replicas, 1)
	def(&c.Automator.Debounce.Quiet, 20*time.Millisecond)
	def(&c.Automator.Debounce.Longest, time.Second)
	def(&c.Automator.Debounce.Pace, 250*time.Millisecond)
	def(&c.Automator.Commit.Author, "Slipway <slipway@localhost>")
	def(&c.Synchronizer.Concurrency, 8)
	def(&c.Synchronizer.DegradedAfter, 30*time.Second)
	if c.Synchronizer.Trusted == nil {
		c.Synchronizer.Trusted = []string{"slipway-system"}
	}
	def(&c.Sweep.Interval, 5*time.Minute)
	if c.Bus.Embedded != nil {
		e := *c.Bus.Embedded
		def(&e.Sync, "always")
		def(&e.Listen, "127.0.0.1:4222")
		c.Bus.Embedded = &e
	}
	c.Repositories = slices.Clone(c.Repositories)
	for i := range c.Repositories {
		def(&c.Repositories[i].Branch, "main")
	}
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Aliases joins the aliases of all registries.
func (c Config) Aliases() events.Aliases {
	all := events.Aliases{}
	for _, r := range c.Registries {
		for _, a := range r.Aliases {
			all[a] = r.Host
		}
	}
	return all
}

// GitAliases maps the hosts of all other addresses of config repos to the
// host of their own.
func (c Config) GitAliases() events.Aliases {
	all := events.Aliases{}
	for _, r := range c.Repositories {
		if name, err := r.Name(nil); err == nil {
			host, _, _ := strings.Cut(string(name), "/")
			for _, a := range r.Aliases {
				all[a] = host
			}
		}
	}
	return all
}

// Name is the repository's name in events.
func (r Repository) Name(aliases events.Aliases) (events.GitRepository, error) {
	return events.ParseGitRepository(r.URL, aliases)
}

// Read gives the secret's value without the line feed at its end. An empty
// secret is an error, since anybody can compute its proof.
func (s Secret) Read() (string, error) {
	var value, where string
	switch {
	case s.File != "" && s.Env != "":
		return "", errors.New("name either file or env for a secret, not both")
	case s.File != "":
		where = "file " + s.File
		data, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		value = strings.TrimRight(string(data), "\r\n")
	case s.Env != "":
		where = "environment variable " + s.Env
		value = os.Getenv(s.Env)
	default:
		return "", errors.New("a secret needs a file or an env")
	}
	if value == "" {
		return "", fmt.Errorf("read secret: %s is empty", where)
	}
	return value, nil
}

// Basic gives user and password or token for HTTP basic credentials; both
// are empty where none are configured.
func (c Credentials) Basic() (user, password string, err error) {
	switch {
	case c.Token != nil && c.Password != nil:
		return "", "", errors.New("name either token or password, not both")
	case c.Token != nil:
		password, err = c.Token.Read()
	case c.Password != nil:
		password, err = c.Password.Read()
	}
	return c.User, password, err
}

var identity = regexp.MustCompile(`^([^<>\x00-\x1f]+) <([^<>\s]+@[^<>\s]+)>$`)

// Identity splits the author into name and mail address.
func (c Commit) Identity() (name, email string, err error) {
	m := identity.FindStringSubmatch(c.Author)
	if m == nil {
		return "", "", fmt.Errorf("%q is not of the form Name <mail@host>", c.Author)
	}
	return m[1], m[2], nil
}
