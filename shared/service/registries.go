package service

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Mirror is a server that has a registry's images, or a part of them.
type Mirror struct {
	// Endpoint is http:// or https:// with a host, and the path that stands
	// before the repository's, where there is one.
	Endpoint    string      `yaml:"endpoint"`
	Insecure    bool        `yaml:"insecure"` // allow http, and TLS that isn't verified
	Credentials Credentials `yaml:"credentials"`
}

// ambients are the clouds whose identity a registry's credentials may be.
var ambients = []string{"ecr", "gcr", "acr"}

func (c Config) validateRegistries(f *faults) {
	for i, r := range c.Registries {
		at := fmt.Sprintf("registries[%d]", i)
		if _, err := events.NewImageRepository(r.Host, "x/x", nil); err != nil {
			f.add(at+".host", "%q is not a host with a dot or a port, as it stands in image references", r.Host)
		}
		if r.Endpoint != "" {
			f.endpoint(at, r.Endpoint, r.Insecure)
		}
		r.Credentials.validateRegistry(f, at+".credentials")
		for j, m := range r.Mirrors {
			at := fmt.Sprintf("%s.mirrors[%d]", at, j)
			f.endpoint(at, m.Endpoint, m.Insecure)
			m.Credentials.validateRegistry(f, at+".credentials")
		}
	}
	if c.Bus.Credentials.Ambient != "" {
		f.add("bus.credentials", "ambient is for registries")
	}
}

// endpoint checks where a registry is called.
func (f *faults) endpoint(at, endpoint string, insecure bool) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil: // it may have a secret in it
		f.add(at+".endpoint", "it is not an address: http:// or https:// with a host")
	case hasSecret(endpoint):
		f.add(at+".endpoint", "credentials belong in credentials, not in the address")
	case u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		f.add(at+".endpoint", "%q is not http:// or https:// with a host", endpoint)
	case u.RawQuery != "" || u.Fragment != "":
		f.add(at+".endpoint", "%q has more than a host and a path", endpoint)
	case u.Scheme == "http" && !insecure:
		f.add(at+".endpoint", "%q is plain http: say insecure: true if that is meant", endpoint)
	}
}

// validateRegistry checks credentials of a registry.
func (c Credentials) validateRegistry(f *faults, at string) {
	if c.SSH != nil || c.GitHubApp != nil {
		f.add(at, "ssh and githubApp are for Git hosts")
	}
	if c.File != "" {
		f.add(at, "file is for NATS: give password: {file: …} or token: {file: …}")
	}
	ways := 0
	for _, given := range []bool{c.Password != nil, c.Token != nil, c.DockerConfig != "", c.Ambient != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		f.add(at, "give one of password, token, dockerConfig and ambient")
	}
	if (c.Password != nil || c.Token != nil) && c.User == "" {
		f.add(at+".user", "there is none, and without one a registry isn't given the secret (with a token, many take any)")
	}
	if c.Ambient != "" && !slices.Contains(ambients, c.Ambient) {
		hint := ""
		if near := nearest(c.Ambient, ambients); len(near) > 0 {
			hint = " (did you mean " + strings.Join(near, " or ") + "?)"
		}
		f.add(at+".ambient", "%q is none of %s%s", c.Ambient, strings.Join(ambients, ", "), hint)
	}
}
