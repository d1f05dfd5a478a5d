package api

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/slipway-cd/slipway/events"
)

// ChartRef names a chart that lies outside of the config repo.
type ChartRef struct {
	Repository string // oci://, https:// or http://
	Name       string
	Version    string // exact, or a range
}

// Remote is the chart of Repository; ok is false where there is none.
func (h *HelmSource) Remote() (ref ChartRef, ok bool) {
	if h == nil || h.Repository == "" {
		return ChartRef{}, false
	}
	return ChartRef{Repository: strings.TrimRight(h.Repository, "/"), Name: h.Chart, Version: h.Version}, true
}

// Exact says that the version is one, and no range.
func (r ChartRef) Exact() bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(r.Version, "v"))
	return err == nil
}

// OCI says that the chart is an artifact of a registry.
func (r ChartRef) OCI() bool { return strings.HasPrefix(r.Repository, "oci://") }

// String is such as "redis 1.2.3 of oci://ghcr.io/acme/charts".
func (r ChartRef) String() string { return r.Name + " " + r.Version + " of " + r.Repository }

// Place is the repository as a Project's repositories name it: host and path,
// without a scheme.
func (r ChartRef) Place(aliases events.Aliases) (string, error) {
	if r.OCI() {
		image, err := r.Image(aliases)
		return strings.TrimSuffix(image.String(), "/"+r.Name), err
	}
	u, err := url.Parse(r.Repository)
	if err != nil || u.Host == "" {
		return "", errors.New("it is not an address with a host")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return host + strings.TrimRight(u.Path, "/"), nil
}

// Image is where a registry has the chart.
func (r ChartRef) Image(aliases events.Aliases) (events.ImageRepository, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(r.Repository, "oci://"), "/")
	if path != "" {
		path += "/"
	}
	return events.NewImageRepository(host, path+r.Name, aliases)
}

const maxVersion = 256

var chartName = regexp.MustCompile(`^[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$`)

// validateChart holds where the chart is.
func (h *HelmSource) validateChart(dir string) error {
	const at = "spec.source.helm."
	ref, remote := h.Remote()
	if !remote {
		var faults []error
		for _, f := range []struct{ name, value string }{{"version", h.Version}, {"secret", h.Secret}} {
			if f.value != "" {
				faults = append(faults, fmt.Errorf(at+"%s is for a chart of a repository: give its address in repository, or take it out", f.name))
			}
		}
		if strings.Contains(h.Chart, "://") {
			faults = append(faults, fmt.Errorf(at+"chart is an address: write the chart's name, and the address without it in repository"))
		} else if err := within(dir, h.Chart); err != nil {
			faults = append(faults, fmt.Errorf(at+"chart %q %w", h.Chart, err))
		}
		return errors.Join(faults...)
	}
	faults := ref.Faults(at+"repository", at+"chart", at+"version")
	if h.Secret != "" && !ObjectName(h.Secret) {
		faults = append(faults, fmt.Errorf(at+"secret: %q is not the name of a Secret of the Application's own namespace", h.Secret))
	}
	return errors.Join(faults...)
}

// Faults says what is wrong in a reference, by what its fields are called where it
// was written.
func (r ChartRef) Faults(repository, name, version string) []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := r.validateRepository(repository); err != nil {
		faults = append(faults, err)
	}
	if !chartName.MatchString(r.Name) {
		add("%s: %q is not the name of a chart in repository: write that alone, and folders in repository", name, r.Name)
	} else if _, err := r.Image(nil); err != nil && r.OCI() {
		add("%s: %w", repository, err)
	}
	switch {
	case r.Version == "":
		add(`%s is missing: write one, or a range such as "1.x"; "*" takes the greatest`, version)
	case len(r.Version) > maxVersion:
		add("%s is too long", version)
	case !r.Exact():
		if _, err := ParseVersions(r.Version); err != nil {
			add("%s is neither a version nor a range: %w", version, err)
		}
	}
	return faults
}

func (r ChartRef) validateRepository(at string) error {
	u, err := url.Parse(r.Repository)
	switch {
	case err != nil: // it may have a secret in it
		return errors.New(at + " is not an address")
	case u.User != nil:
		return errors.New(at + ": credentials belong in a Secret (secret), not in the address")
	case u.Scheme != "https" && u.Scheme != "oci" && u.Scheme != "http":
		return fmt.Errorf("%s: %q is neither https:// (with an index.yaml) nor oci://", at, r.Repository)
	case u.Host == "":
		return fmt.Errorf("%s: %q has no host", at, r.Repository)
	case u.RawQuery != "" || u.Fragment != "" || r.OCI() && strings.ContainsAny(u.Path, "@:"):
		return fmt.Errorf("%s: %q has more than a host and a path", at, r.Repository)
	}
	return nil
}
