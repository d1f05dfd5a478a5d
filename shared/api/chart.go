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
	faults := []error{ref.validateRepository()}
	if !chartName.MatchString(h.Chart) {
		faults = append(faults, fmt.Errorf(at+"chart: %q is not the name of a chart in repository: write that alone, and folders in repository", h.Chart))
	} else if _, err := ref.Image(nil); err != nil && ref.OCI() {
		faults = append(faults, fmt.Errorf(at+"repository: %w", err))
	}
	switch {
	case h.Version == "":
		faults = append(faults, errors.New(at+`version is missing: write one, or a range such as "1.x"; "*" takes the greatest`))
	case len(h.Version) > maxVersion:
		faults = append(faults, errors.New(at+"version is too long"))
	case !ref.Exact():
		if _, err := ParseVersions(h.Version); err != nil {
			faults = append(faults, fmt.Errorf(at+"version is neither a version nor a range: %w", err))
		}
	}
	if h.Secret != "" && !ObjectName(h.Secret) {
		faults = append(faults, fmt.Errorf(at+"secret: %q is not the name of a Secret of the Application's own namespace", h.Secret))
	}
	return errors.Join(faults...)
}

func (r ChartRef) validateRepository() error {
	u, err := url.Parse(r.Repository)
	const at = "spec.source.helm.repository"
	switch {
	case err != nil: // it may have a secret in it
		return errors.New(at + " is not an address")
	case u.User != nil:
		return errors.New(at + ": credentials belong in a Secret (secret), not in the address")
	case u.Scheme != "https" && u.Scheme != "oci" && u.Scheme != "http":
		return fmt.Errorf(at+": %q is neither https:// (with an index.yaml) nor oci://", r.Repository)
	case u.Host == "":
		return fmt.Errorf(at+": %q has no host", r.Repository)
	case u.RawQuery != "" || u.Fragment != "" || r.OCI() && strings.ContainsAny(u.Path, "@:"):
		return fmt.Errorf(at+": %q has more than a host and a path", r.Repository)
	}
	return nil
}
