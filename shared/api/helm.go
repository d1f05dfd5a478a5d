package api

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// HelmSource says how the chart of an application is rendered. Paths are
// relative to the source's path.
type HelmSource struct {
	// Chart is the chart's folder; empty: the path itself.
	Chart string `json:"chart,omitempty"`
	// Name, Repository and Version would name a chart that lies elsewhere:
	// they are known so that they can be refused with a reason.
	Name       string `json:"name,omitempty"`
	Repository string `json:"repository,omitempty"`
	Version    string `json:"version,omitempty"`
	// ReleaseName is the application's name where it is empty.
	ReleaseName string `json:"releaseName,omitempty"`
	// ValuesFiles are applied in order, each over those before and all over
	// the chart's own. They may lie outside of the path, in the repository.
	ValuesFiles []string `json:"valuesFiles,omitempty"`
	// Values are applied last. A null takes away what the chart sets.
	Values map[string]any `json:"values,omitempty"`
}

// maxRelease is the longest name that Helm takes for a release.
const maxRelease = 53

var releaseName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func (h *HelmSource) validate(dir string) error {
	var faults []error
	for _, f := range []struct{ name, value string }{
		{"name", h.Name}, {"repository", h.Repository}, {"version", h.Version},
	} {
		if f.value != "" {
			faults = append(faults, fmt.Errorf("spec.source.helm.%s: %w", f.name, errChartElsewhere))
		}
	}
	if strings.Contains(h.Chart, "://") {
		faults = append(faults, fmt.Errorf("spec.source.helm.chart: %w", errChartElsewhere))
	} else if err := within(dir, h.Chart); err != nil {
		faults = append(faults, fmt.Errorf("spec.source.helm.chart %q %w", h.Chart, err))
	}
	if r := h.ReleaseName; r != "" && (len(r) > maxRelease || !releaseName.MatchString(r)) {
		faults = append(faults, fmt.Errorf("spec.source.helm.releaseName %q is not a name of lower-case letters, digits, hyphens and dots, of at most %d characters", r, maxRelease))
	}
	for i, file := range h.ValuesFiles {
		switch {
		case file == "":
			faults = append(faults, fmt.Errorf("spec.source.helm.valuesFiles[%d] is empty", i))
		case strings.Contains(file, "://"):
			faults = append(faults, fmt.Errorf("spec.source.helm.valuesFiles[%d] is an address: commit the file to the repository and write its path", i))
		default:
			if err := within(dir, file); err != nil {
				faults = append(faults, fmt.Errorf("spec.source.helm.valuesFiles[%d] %q %w", i, file, err))
			}
		}
	}
	return errors.Join(faults...)
}

var errChartElsewhere = errors.New("charts from a repository are not supported yet: commit the chart (helm pull --untar) and write its folder in spec.source.helm.chart")

// within says why a path, seen from dir, is not one of the repository.
func within(dir, file string) error {
	if strings.HasPrefix(file, "/") {
		return errors.New("is not relative: write it from spec.source.path on")
	}
	if at := path.Join(dir, file); at == ".." || strings.HasPrefix(at, "../") {
		return errors.New("leaves the repository")
	}
	return nil
}
