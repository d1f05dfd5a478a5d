package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ApplicationKind and ApplicationResource are what Kubernetes calls an
// [Application].
const (
	ApplicationKind     = "Application"
	ApplicationResource = "applications"
)

// Application says what to keep in sync, and where.
type Application struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Metadata   Metadata           `json:"metadata"`
	Spec       ApplicationSpec    `json:"spec"`
	Status     *ApplicationStatus `json:"status,omitempty"`
}

// Metadata is the part of Kubernetes' ObjectMeta that Slipway reads. In a
// document in Git only the first four are written.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ApplicationSpec is what a user writes.
type ApplicationSpec struct {
	Source      Source      `json:"source"`
	Destination Destination `json:"destination,omitzero"`
	// Environment is named in events; empty means the cluster's name.
	Environment string      `json:"environment,omitempty"`
	Sync        SyncOptions `json:"sync,omitzero"`
	// Labels and Annotations are set on everything applied.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Substitute says which ${VARIABLES} are replaced in what was rendered.
	// nil: none, and text that looks like one stays as it is.
	Substitute *Substitute `json:"substitute,omitempty"`
	// OnDelete says what becomes of the objects when the Application is
	// deleted: [OnDeletePrune], the default, or [OnDeleteOrphan].
	OnDelete string `json:"onDelete,omitempty"`
	// OnFailure says what becomes of a version that doesn't become healthy:
	// [OnFailureNone], the default, or [OnFailureRollback].
	OnFailure string `json:"onFailure,omitempty"`
}

// SuspendAnnotation on an Application says why it is suspended: nothing is
// decided for it.
const SuspendAnnotation = "slipway.dev/suspend"

// What an Application's deletion does to its objects.
const (
	OnDeletePrune  = "prune"
	OnDeleteOrphan = "orphan"
)

// What follows when a version doesn't become healthy.
const (
	OnFailureNone     = "none"
	OnFailureRollback = "rollback"
)

// Validate holds what has a few values only. The rest is the CRD's.
func (a *Application) Validate() error {
	var faults []error
	for _, f := range []struct {
		name, value string
		may         []string
	}{
		{"onDelete", a.Spec.OnDelete, []string{"", OnDeletePrune, OnDeleteOrphan}},
		{"onFailure", a.Spec.OnFailure, []string{"", OnFailureNone, OnFailureRollback}},
	} {
		if !slices.Contains(f.may, f.value) {
			faults = append(faults, fmt.Errorf("spec.%s %q is neither %s nor %s", f.name, f.value, f.may[1], f.may[2]))
		}
	}
	if a.Spec.Source.Helm != nil {
		faults = append(faults, a.Spec.Source.Helm.validate(a.Spec.Source.Path))
	}
	if a.Spec.Substitute != nil {
		faults = append(faults, a.Spec.Substitute.validate())
	}
	return errors.Join(faults...)
}

// Source is where the manifests are.
type Source struct {
	// Repository is the address from which to fetch.
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
	// Path is a directory within the repository.
	Path string `json:"path"`
	// Helm says how a chart is rendered. A path with a Chart.yaml is a chart
	// without it, too.
	Helm *HelmSource `json:"helm,omitempty"`
}

// Destination is where the objects go.
type Destination struct {
	// Namespace of objects that name none; empty: the Application's own.
	Namespace string `json:"namespace,omitempty"`
	// ServiceAccount of the Application's own namespace with whose rights
	// the objects are applied; empty: "default".
	ServiceAccount string `json:"serviceAccount,omitempty"`
}

// SyncOptions say how to apply. What is nil has its default.
type SyncOptions struct {
	Prune   *bool     `json:"prune,omitempty"`   // delete what is gone from Git; default true
	Wait    *bool     `json:"wait,omitempty"`    // for health; default true
	Timeout *Duration `json:"timeout,omitempty"` // of that wait; default 5m
	Resync  *Duration `json:"resync,omitempty"`  // safety net; default 10m
}

// The defaults of [SyncOptions].
const (
	DefaultTimeout = 5 * time.Minute
	DefaultResync  = 10 * time.Minute
)

// Prunes says whether objects that are gone from Git are deleted.
func (s SyncOptions) Prunes() bool { return s.Prune == nil || *s.Prune }

// Waits says whether a sync ends only when everything is healthy.
func (s SyncOptions) Waits() bool { return s.Wait == nil || *s.Wait }

// TimeoutOrDefault is how long a sync waits for health.
func (s SyncOptions) TimeoutOrDefault() time.Duration { return s.Timeout.or(DefaultTimeout) }

// ResyncOrDefault is how often an application is looked at without an event.
func (s SyncOptions) ResyncOrDefault() time.Duration { return s.Resync.or(DefaultResync) }

// Duration is written as Go writes durations: "5m", "1h30m".
type Duration time.Duration

func (d *Duration) or(fallback time.Duration) time.Duration {
	if d == nil || *d <= 0 {
		return fallback
	}
	return time.Duration(*d)
}

// MarshalJSON writes a duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a duration that is not negative.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration is a string such as \"5m\": %w", err)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration such as \"5m\" or \"1h30m\"", text)
	}
	*d = Duration(parsed)
	return nil
}
