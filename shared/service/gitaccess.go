package service

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// PrefixCredentials are credentials for all Git addresses below a prefix.
type PrefixCredentials struct {
	// Prefix is scheme, host and the beginning of a path, by whole parts:
	// https://git.example.com/acme. The longest that fits counts.
	Prefix      string `yaml:"prefix"`
	Credentials `yaml:",inline"`
}

// SSH signs in at ssh:// addresses.
type SSH struct {
	Key        *Secret `yaml:"key"`
	Passphrase *Secret `yaml:"passphrase"`
	// KnownHosts has the host's keys; no host is trusted without.
	KnownHosts *Text `yaml:"knownHosts"`
}

// GitHubApp signs in as one installation of a GitHub App.
type GitHubApp struct {
	AppID          string  `yaml:"appId"`          // or the client id
	InstallationID string  `yaml:"installationId"` // of the app in the organization
	PrivateKey     *Secret `yaml:"privateKey"`
	Endpoint       string  `yaml:"endpoint"` // default https://api.github.com
}

// Sign has the key that commits are signed by: exactly one of SSH and OpenPGP.
type Sign struct {
	SSH        *Secret `yaml:"ssh"`
	OpenPGP    *Secret `yaml:"openpgp"`
	Passphrase *Secret `yaml:"passphrase"`
}

// Text stands in the config itself, or where a [Secret] names it.
type Text struct {
	Secret Secret `yaml:"-"`
	Text   string `yaml:"-"`
}

// UnmarshalYAML reads a string, or a mapping with file or env.
func (t *Text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&t.Text)
	}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Value != "file" && key.Value != "env" {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: field %s is not known", key.Line, key.Value)}}
		}
	}
	return n.Decode(&t.Secret)
}

// Read gives the text.
func (t Text) Read() (string, error) {
	if t.Text != "" {
		return t.Text, nil
	}
	return t.Secret.Read()
}

// none says that nothing is set.
func (c Credentials) none() bool { return c == Credentials{} }

// GitCredentials are those for a Git address: own where they say something,
// else those of the longest prefix that fits the address. None fit another
// scheme, host or port than their own.
func (c Config) GitCredentials(address string, own Credentials) Credentials {
	if !own.none() {
		return own
	}
	at, err := gitURL(address)
	if err != nil {
		return own
	}
	longest := -1
	for _, p := range c.Credentials {
		prefix, err := gitURL(p.Prefix)
		if err == nil && len(prefix.Path) > longest && below(at, prefix) {
			own, longest = p.Credentials, len(prefix.Path)
		}
	}
	return own
}

// below says whether an address is the prefix, or lies below it by whole
// parts of the path.
func below(at, prefix *url.URL) bool {
	rest, begins := strings.CutPrefix(at.Path, prefix.Path)
	return begins && at.Scheme == prefix.Scheme && at.Host == prefix.Host && (rest == "" || prefix.Path == "" || rest[0] == '/')
}

// gitURL reads a Git address in one form: without user, default port, dot
// parts and slash at its end.
func gitURL(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		host, p, ok := strings.Cut(address, ":")
		if !ok || strings.Contains(host, "/") {
			return nil, errors.New("it has no scheme")
		}
		address = "ssh://" + host + "/" + strings.TrimPrefix(p, "/")
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("it is not an address with a host")
	}
	port, known := map[string]string{"http": "80", "https": "443", "ssh": "22"}[u.Scheme]
	if !known {
		return nil, errors.New("its scheme is none of https, http and ssh")
	}
	host := strings.ToLower(u.Host)
	p := path.Clean("/" + u.Path)
	return &url.URL{Scheme: u.Scheme, Host: strings.TrimSuffix(host, ":"+port), Path: strings.TrimSuffix(p, "/")}, nil
}

// hasSecret says whether there are credentials in an address; the user of an
// SSH address is none.
func hasSecret(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return false
	}
	_, password := u.User.Password()
	return password || u.Scheme != "ssh"
}

func (c Config) validateGitAccess(f *faults) {
	c.validatePrefixes(f)
	for i, r := range c.Repositories {
		at := fmt.Sprintf("repositories[%d]", i)
		u, err := gitURL(r.URL)
		if err != nil {
			continue // the address is a fault of its own
		}
		r.Credentials.validateGit(f, at+".credentials", u.Scheme)
		f.optional(at+".ca", r.CA)
		if r.Proxy != "" && !isURL(r.Proxy, "http", "https", "socks5") {
			f.add(at+".proxy", "it must be http://, https:// or socks5:// with a host")
		}
		if u.Scheme != "ssh" {
			continue
		}
		if c.GitCredentials(r.URL, r.Credentials).SSH == nil {
			f.add(at+".credentials", "an address by SSH needs ssh: {key, knownHosts}")
		}
		if r.CA != nil || r.Proxy != "" {
			f.add(at, "ca and proxy are for https:// addresses")
		}
	}
	c.Automator.Commit.Sign.validate(f, "automator.commit.sign")
}

func (c Config) validatePrefixes(f *faults) {
	var seen []string
	for i, p := range c.Credentials {
		at := fmt.Sprintf("credentials[%d]", i)
		u, err := gitURL(p.Prefix)
		switch {
		case hasSecret(p.Prefix):
			f.add(at+".prefix", "credentials belong beside the prefix, not into it")
		case err != nil || !strings.Contains(p.Prefix, "://"):
			f.add(at+".prefix", "%q must be https://, http:// or ssh:// with a host", p.Prefix)
		case slices.Contains(seen, u.String()):
			f.add(at+".prefix", "%q is there twice", p.Prefix)
		default:
			seen = append(seen, u.String())
			p.Credentials.validateGit(f, at, u.Scheme)
		}
		if p.Credentials.none() {
			f.add(at, "no credentials for the prefix")
		}
	}
}

// validateGit checks credentials for addresses of a scheme.
func (c Credentials) validateGit(f *faults, at, scheme string) {
	ways := 0
	for _, given := range []bool{c.Password != nil, c.Token != nil, c.SSH != nil, c.GitHubApp != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		f.add(at, "give one of password, token, ssh and githubApp")
	}
	if c.File != "" || c.DockerConfig != "" || c.Ambient != "" {
		f.add(at, "file, dockerConfig and ambient are not for Git hosts")
	}
	if (c.SSH != nil) != (scheme == "ssh") && ways > 0 {
		f.add(at, "ssh is for addresses by SSH, and nothing else is for them")
	}
	if c.SSH != nil {
		f.secret(at+".ssh.key", c.SSH.Key)
		f.optional(at+".ssh.passphrase", c.SSH.Passphrase)
		if k := c.SSH.KnownHosts; k == nil || (strings.TrimSpace(k.Text) == "" && k.Secret == Secret{}) {
			f.add(at+".ssh.knownHosts", "there are none, and no host is trusted without (`ssh-keyscan HOST` writes them)")
		}
	}
	if a := c.GitHubApp; a != nil {
		f.secret(at+".githubApp.privateKey", a.PrivateKey)
		if a.AppID == "" || a.InstallationID == "" {
			f.add(at+".githubApp", "appId and installationId are both needed")
		}
		if a.Endpoint != "" && (hasSecret(a.Endpoint) || !isURL(a.Endpoint, "https", "http")) {
			f.add(at+".githubApp.endpoint", "it must be https:// or http:// with a host, and without credentials")
		}
	}
	f.optional(at+".password", c.Password)
	f.optional(at+".token", c.Token)
}

func (s *Sign) validate(f *faults, at string) {
	if s == nil {
		return
	}
	if (s.SSH == nil) == (s.OpenPGP == nil) {
		f.add(at, "give one of ssh and openpgp")
		return
	}
	f.optional(at+".ssh", s.SSH)
	f.optional(at+".openpgp", s.OpenPGP)
	f.optional(at+".passphrase", s.Passphrase)
}

// isURL says whether s has one of the schemes, and a host.
func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}

// secret checks that a secret names where it lies. It is read by who needs
// it: a process of another service may not have it.
func (f *faults) secret(at string, s *Secret) {
	if s == nil || (s.File == "") == (s.Env == "") {
		f.add(at, "name either file or env")
	}
}

func (f *faults) optional(at string, s *Secret) {
	if s != nil {
		f.secret(at, s)
	}
}
