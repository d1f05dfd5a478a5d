package service

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
)

var sourceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// CheckCluster says what is wrong with a cluster's name.
func CheckCluster(name string) error {
	if !sourceName.MatchString(name) {
		return fmt.Errorf("%q is not a DNS label in lower case", name)
	}
	return nil
}

// Validate returns every fault of the config, each with its path.
func (c Config) Validate() error {
	f := &faults{}
	if c.Cluster != "" {
		if err := CheckCluster(c.Cluster); err != nil {
			f.add("cluster", "%w", err)
		}
	}
	if (c.Bus.URL == "") == (c.Bus.Embedded == nil) {
		f.add("bus", "give either url or embedded")
	}
	if e := c.Bus.Embedded; e != nil && e.Sync != "always" && e.Sync != "default" {
		f.add("bus.embedded.sync", "%q is neither always nor default", e.Sync)
	}
	if _, _, err := bus.TLS(c.Bus.TLS).Load(); err != nil {
		f.add("bus.tls", "%w", err)
	}
	if r := c.Bus.Replicas; r != 1 && r != 3 && r != 5 {
		f.add("bus.replicas", "%d is none of 1, 3, 5", r)
	}
	if _, err := c.Listen.TLS.Config(); err != nil {
		f.list = append(f.list, err)
	}
	c.validateRegistries(f)
	c.validateBases(f)
	c.Sigstore.validate(f)
	c.validateRepositories(f)
	c.validateSources(f)
	c.validateGitAccess(f)
	if d := c.Automator.Debounce; d.Quiet < 0 || d.Pace < 0 || d.Longest < d.Quiet {
		f.add("automator.debounce", "longest must be at least quiet, and neither quiet nor pace negative")
	}
	if _, _, err := c.Automator.Commit.Identity(); err != nil {
		f.add("automator.commit.author", "%v", err)
	}
	c.validatePeople(f)
	if c.Synchronizer.DegradedAfter < 0 {
		f.add("synchronizer.degradedAfter", "%s is negative", c.Synchronizer.DegradedAfter)
	}
	if c.Synchronizer.Concurrency < 1 {
		f.add("synchronizer.concurrency", "%d is less than 1", c.Synchronizer.Concurrency)
	}
	if err := c.Tracing.check(); err != nil {
		f.list = append(f.list, err)
	}
	if c.Sweep.Interval < time.Second {
		f.add("sweep.interval", "%s is less than a second", c.Sweep.Interval)
	}
	return f.err()
}

func (c Config) validateRepositories(f *faults) {
	seen := map[string]int{}
	for i, r := range c.Repositories {
		at := fmt.Sprintf("repositories[%d]", i)
		name, err := r.Name(nil)
		if err != nil {
			f.add(at+".url", "%v", err)
		}
		if hasSecret(r.URL) {
			f.add(at+".url", "credentials belong in credentials, not in the address")
		}
		if r.Host != (GitHost{}) && err == nil {
			if _, err := r.PullRequests(); err != nil {
				f.add(at+".host", "%w", err)
			}
		}
		key := string(name) + "@" + r.Branch
		if j, twice := seen[key]; twice && err == nil {
			f.add(at, "the same repository and branch as repositories[%d]", j)
		}
		seen[key] = i
		for j, root := range r.Roots {
			checkPath(f, fmt.Sprintf("%s.roots[%d].path", at, j), root.Path)
			if !sourceName.MatchString(root.Cluster) {
				f.add(fmt.Sprintf("%s.roots[%d].cluster", at, j), "%q is not a DNS label in lower case", root.Cluster)
			}
		}
		if _, err := api.ParsePatterns(r.DocumentsFrom); err != nil {
			f.add(at+".documentsFrom", "%w", err)
		}
		for j, p := range r.Policies {
			checkPath(f, fmt.Sprintf("%s.policies[%d].path", at, j), p.Path)
			if len(p.Applications) == 0 {
				f.add(fmt.Sprintf("%s.policies[%d].applications", at, j), `no patterns: say ["**"] if the policies may speak for all`)
			}
		}
	}
}

func checkPath(f *faults, at, p string) {
	if p == "" || path.IsAbs(p) || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") {
		f.add(at, "%q is not a clean path inside the repository (use . for its root)", p)
	}
}

func (c Config) validateSources(f *faults) {
	seen := map[string]int{}
	for i, s := range c.Receivers.Sources {
		at := func(field string) string { return c.Receivers.Place(i, field) }
		if !sourceName.MatchString(s.Name) {
			f.add(at("name"), "%q is not a DNS label in lower case", s.Name)
		}
		if j, twice := seen[s.Name]; twice {
			f.add(at("name"), "%q is there twice: it is the name of %s, too", s.Name, c.Receivers.Place(j, ""))
		} else {
			seen[s.Name] = i
		}
		if s.Provider == "" {
			f.add(at("provider"), "no provider (`slipway providers` lists them)")
		} else if fault := unknownProvider(s.Provider); fault != "" {
			f.add(at("provider"), "%s", fault)
		}
		if len(s.Secrets) == 0 && !s.Insecure && s.OIDC == nil && len(s.Topics) == 0 {
			f.add(at("secrets"), "source %q has no secret: anybody could send to it; say insecure: true if that is meant", s.Name)
		}
		for j, secret := range s.Secrets {
			if _, err := secret.Read(); err != nil {
				f.add(at(fmt.Sprintf("secrets[%d]", j)), "%v", err)
			}
		}
	}
}

// faults gathers what is wrong, so that all of it is told at once.
type faults struct{ list []error }

func (f *faults) add(at, format string, args ...any) {
	f.list = append(f.list, fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...)))
}

func (f *faults) err() error { return errors.Join(f.list...) }
