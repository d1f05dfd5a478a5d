package api

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// HelmSource says how the chart of an application is rendered. Paths are
// relative to the source's path.
type HelmSource struct {
	// Chart is the chart's folder; empty: the path itself. With Repository it is
	// the chart's name there.
	Chart string `json:"chart,omitempty"`
	// Repository is where the chart lies if it isn't in the config repo: an
	// oci:// address, below which charts are by their names, or the https:// one
	// of a chart repository with an index.yaml.
	Repository string `json:"repository,omitempty"`
	// Version is that of a chart in Repository, or a range of versions.
	Version string `json:"version,omitempty"`
	// Secret of the Application's namespace has credentials for Repository;
	// empty: the config's.
	Secret string `json:"secret,omitempty"`
	// Verify says who must have signed the chart, which a registry must have; nil:
	// nobody.
	Verify *ChartVerify `json:"verify,omitempty"`
	// ReleaseName is the application's name where it is empty.
	ReleaseName string `json:"releaseName,omitempty"`
	// ValuesFiles are applied in order, each over those before and all over
	// the chart's own. They may lie outside of the path, in the repository.
	ValuesFiles []string `json:"valuesFiles,omitempty"`
	// IgnoreMissingValuesFiles goes on without those that aren't there.
	IgnoreMissingValuesFiles bool `json:"ignoreMissingValuesFiles,omitempty"`
	// ValuesFrom are values of the cluster, over all files: mappings in order and
	// below Values, and what has a TargetPath in order and over Values.
	ValuesFrom []ValuesSource `json:"valuesFrom,omitempty"`
	// Values are over files and mappings. A null takes away what the chart sets.
	Values map[string]any `json:"values,omitempty"`
	// Lookup has the chart look things up in the cluster of its objects, and see
	// that cluster's version and kinds. Without it lookups find nothing.
	Lookup bool `json:"lookup,omitempty"`
	// SkipCRDs leaves out what the chart and its subcharts have in a folder crds, as
	// `helm template` does without --include-crds.
	SkipCRDs bool `json:"skipCRDs,omitempty"`
	// Tests has the chart's tests run at the end of each sync that applies another
	// commit, as `helm test` does; a failed one is a failed sync.
	Tests bool `json:"tests,omitempty"`
}

// ValuesSource is a key of a ConfigMap or Secret of the Application's own namespace
// that has values.
type ValuesSource struct {
	VariableSource // of which Optional counts for the key, too
	// Key has a YAML mapping, or with TargetPath one value; empty:
	// [DefaultValuesKey].
	Key string `json:"key,omitempty"`
	// TargetPath is where the value is set, as in `helm --set`: such as a.b[0].c, or
	// a\.b for one name with a dot.
	TargetPath string `json:"targetPath,omitempty"`
	// Literal has the value be text as it stands. Without it it is a number, true,
	// false or null where `helm --set` takes it for one, and quotes around it go.
	Literal bool `json:"literal,omitempty"`
}

// DefaultValuesKey is the key of a [ValuesSource] that names none.
const DefaultValuesKey = "values.yaml"

// KeyOrDefault is the key that has the values.
func (v ValuesSource) KeyOrDefault() string { return cmp.Or(v.Key, DefaultValuesKey) }

// maxRelease is the longest name that Helm takes for a release.
const maxRelease = 53

var releaseName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func (h *HelmSource) validate(dir string) error {
	faults := []error{h.validateChart(dir), h.validateVerify()}
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
	for i, from := range h.ValuesFrom {
		faults = append(faults, from.validate(fmt.Sprintf("spec.source.helm.valuesFrom[%d]", i)))
	}
	return errors.Join(faults...)
}

// maxTargetPath bounds what a path can have lists grow to.
const maxTargetPath = 256

// dataKey is as keys of ConfigMaps and Secrets are.
var dataKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

func (v ValuesSource) validate(field string) error {
	faults := []error{v.VariableSource.validate(field)}
	if v.Key != "" && !dataKey.MatchString(v.Key) {
		faults = append(faults, fmt.Errorf("%s.key: %q is not the key of a ConfigMap or Secret", field, v.Key))
	}
	if len(v.TargetPath) > maxTargetPath {
		faults = append(faults, fmt.Errorf("%s.targetPath has more than %d bytes", field, maxTargetPath))
	}
	if v.Literal && v.TargetPath == "" {
		faults = append(faults, fmt.Errorf("%s.literal is for one value: say where in targetPath", field))
	}
	return errors.Join(faults...)
}

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
