package service

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// GitHost says where the pull requests of a config repo are made. All of it
// may be left out for github.com, gitlab.com and bitbucket.org.
type GitHost struct {
	// Kind is one of [GitHostKinds].
	Kind string `yaml:"kind"`
	// API is the address of the host's REST API; default: where the kind has
	// it on the repository's host.
	API string `yaml:"api"`
	// Credentials are those for the API; default: the repository's.
	Credentials Credentials `yaml:"credentials"`
}

// ErrNoGitHost says that nobody knows what kind of host a repository has.
var ErrNoGitHost = errors.New("the kind of the Git host is not known")

// hostKinds are what a host may be: how the path of its API looks, and on
// which public host it is, with the API's address there.
var hostKinds = []struct {
	kind, public, publicAPI string
	path                    string // below the repository's host
	pathRE                  *regexp.Regexp
}{
	{"github", "github.com", "https://api.github.com", "/api/v3", regexp.MustCompile(`^(/.*)?$`)},
	{"gitlab", "gitlab.com", "https://gitlab.com/api/v4", "/api/v4", regexp.MustCompile(`/api/v4$`)},
	{"gitea", "", "", "/api/v1", regexp.MustCompile(`/api/v1$`)},
	{"forgejo", "", "", "/api/v1", regexp.MustCompile(`/api/v1$`)},
	{"bitbucket-cloud", "bitbucket.org", "https://api.bitbucket.org/2.0", "/2.0", regexp.MustCompile(`/2\.0$`)},
	{"bitbucket-datacenter", "", "", "/rest/api/latest", regexp.MustCompile(`/rest/api/(latest|[0-9.]+)$`)},
}

// GitHostKinds are what host.kind may be.
func GitHostKinds() []string {
	var all []string
	for _, k := range hostKinds {
		all = append(all, k.kind)
	}
	return all
}

// PullRequests says where the repository's pull requests are made, with all
// that was left out. Errs with [ErrNoGitHost] where the config must tell the
// kind, and when the repository's credentials would go to another host.
func (r Repository) PullRequests() (GitHost, error) {
	h := r.Host
	address, err := repositoryHost(r.URL)
	if err != nil {
		return h, err
	}
	if h.Kind == "" {
		for _, k := range hostKinds {
			if k.public != "" && k.public == address.Hostname() {
				h.Kind = k.kind
			}
		}
	}
	i := slices.Index(GitHostKinds(), h.Kind)
	if i < 0 && h.Kind != "" {
		return h, fmt.Errorf("kind: %q is none of %s", h.Kind, strings.Join(GitHostKinds(), ", "))
	}
	if i < 0 {
		return h, fmt.Errorf("kind: %w for %s: name one of %s", ErrNoGitHost, address.Host, strings.Join(GitHostKinds(), ", "))
	}
	k := hostKinds[i]
	known := k.publicAPI
	if k.public != address.Hostname() {
		known = address.String() + k.path
	}
	if k.kind == "github" && strings.HasSuffix(address.Hostname(), ".ghe.com") {
		known = "https://api." + address.Hostname()
	}
	def(&h.API, known)
	u, err := checkAPI(h.API, address, k.path, k.pathRE)
	if err != nil {
		return h, err
	}
	if h.Credentials == (Credentials{}) {
		if h.API != known && u.Hostname() != address.Hostname() {
			return h, fmt.Errorf("credentials: the repository's are for %s and don't go to %s: name some here", address.Hostname(), u.Hostname())
		}
		h.Credentials = r.Credentials
	}
	return h, nil
}

// checkAPI reads the address of an API. Plain HTTP is for repositories that
// are reached so, too.
func checkAPI(api string, repository *url.URL, path string, pathRE *regexp.Regexp) (*url.URL, error) {
	u, err := url.Parse(api)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("api: the address must be http:// or https:// with a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("api: credentials, query and fragment don't belong in the address")
	case u.Scheme == "http" && repository.Scheme != "http":
		return nil, fmt.Errorf("api: %s is plain http, and the repository's own address is not", u.Host)
	case !pathRE.MatchString(u.Path):
		return nil, fmt.Errorf("api: %s doesn't end in %s, as the API of this kind of host does", api, path)
	}
	return u, nil
}

// repositoryHost is scheme and host for HTTP requests to the host of a
// repository, which itself may be reached by SSH.
func repositoryHost(raw string) (*url.URL, error) {
	name, err := events.ParseGitRepository(raw, nil)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	host, _, _ := strings.Cut(string(name), "/")
	u := &url.URL{Scheme: "https", Host: host}
	parsed, err := url.Parse(raw)
	if err != nil || !slices.Contains([]string{"http", "https"}, parsed.Scheme) {
		u.Host = u.Hostname() // the port is SSH's
		if strings.Contains(u.Host, ":") {
			u.Host = "[" + u.Host + "]"
		}
		return u, nil
	}
	u.Scheme = parsed.Scheme
	return u, nil
}
