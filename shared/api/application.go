package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	// Health says when objects of custom kinds are healthy; it goes before
	// the synchronizer's own rules.
	Health []HealthRule `json:"health,omitempty"`
	// Labels and Annotations are set on everything applied.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// DependsOn are Applications that must be healthy, with what the same commit
	// has for them, before this one is applied.
	DependsOn []Dependency `json:"dependsOn,omitempty"`
	// Ignore are fields that others may set.
	Ignore []Ignore `json:"ignore,omitempty"`
	// Substitute says which ${VARIABLES} are replaced in what was rendered.
	// nil: none, and text that looks like one stays as it is.
	Substitute *Substitute `json:"substitute,omitempty"`
	// Decryption says with what encrypted files are decrypted. nil: there are
	// none.
	Decryption *Decryption `json:"decryption,omitempty"`
	// OnDelete says what becomes of the objects when the Application is
	// deleted: [OnDeletePrune], the default, or [OnDeleteOrphan].
	OnDelete string `json:"onDelete,omitempty"`
	// OnFailure says what becomes of a version that doesn't become healthy:
	// [OnFailureNone], the default, or [OnFailureRollback].
	OnFailure string `json:"onFailure,omitempty"`
}

// What people write on an Application, in Git or in the cluster.
const (
	// SuspendAnnotation says why it is suspended: nothing is decided for it, nor
	// applied.
	SuspendAnnotation = "slipway.dev/suspend"
	// SyncAnnotation has it applied again, also what is applied already, whenever
	// its value changes.
	SyncAnnotation = "slipway.dev/sync"
)

// PruneFinalizer keeps an Application until what it manages is pruned.
const PruneFinalizer = "slipway.dev/prune"

// Suspension is why the application is suspended.
func (m Metadata) Suspension() (why string, suspended bool) {
	why, suspended = m.Annotations[SuspendAnnotation]
	if suspended && why == "" {
		why = "no reason is given"
	}
	return why, suspended
}

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
	faults = append(faults, a.Spec.Source.validate())
	if account := a.Spec.Destination.ServiceAccount; account != "" && !ObjectName(account) {
		faults = append(faults, fmt.Errorf("spec.destination.serviceAccount: %q is not the name of a ServiceAccount of the Application's own namespace", account))
	}
	if name := a.Spec.Destination.KubeconfigSecret; name != "" && !ObjectName(name) {
		faults = append(faults, fmt.Errorf("spec.destination.kubeconfigSecret: %q is not the name of a Secret of the Application's own namespace", name))
	}
	if a.Spec.Source.Helm != nil {
		faults = append(faults, a.Spec.Source.Helm.validate(a.Spec.Source.Path))
	}
	if a.Spec.Source.Kustomize != nil {
		faults = append(faults, a.Spec.Source.Kustomize.validate(a.Spec.Source.Path))
	}
	if a.Spec.Decryption != nil {
		faults = append(faults, a.Spec.Decryption.validate())
	}
	for i, ignore := range a.Spec.Ignore {
		if err := ignore.validate(); err != nil {
			faults = append(faults, fmt.Errorf("spec.ignore[%d]: %w", i, err))
		}
	}
	for i, d := range a.Spec.DependsOn {
		if err := d.validate(a.Metadata.Namespace, a.Metadata.Name); err != nil {
			faults = append(faults, fmt.Errorf("spec.dependsOn[%d]%w", i, err))
		}
	}
	if a.Spec.Substitute != nil {
		faults = append(faults, a.Spec.Substitute.validate())
	}
	return errors.Join(append(faults, validateHealth(a.Spec.Health))...)
}

// Ignore says which fields of objects are left to whoever else sets them, such as
// an autoscaler.
type Ignore struct {
	Kind  string `json:"kind"`
	Group string `json:"group,omitempty"` // any when empty
	Name  string `json:"name,omitempty"`  // any when empty
	// Paths are JSON pointers, such as /spec/replicas. "*" stands for each key or
	// entry, and "[key=value]" for those entries of a list that have it, as in
	// kustomize's replacements: /spec/template/spec/containers/[name=web]/resources.
	Paths []string `json:"paths,omitempty"`
	// Managers are field managers, such as kube-controller-manager: whatever they have
	// set is left to them.
	Managers []string `json:"managers,omitempty"`
}

// Fields are the paths, each as its keys.
func (i Ignore) Fields() [][]string {
	unescape := strings.NewReplacer("~1", "/", "~0", "~") // RFC 6901, 4
	var all [][]string
	for _, p := range i.Paths {
		keys := strings.Split(strings.TrimPrefix(p, "/"), "/")
		for j := range keys {
			keys[j] = unescape.Replace(keys[j])
		}
		all = append(all, keys)
	}
	return all
}

func (i Ignore) validate() error {
	if i.Kind == "" || len(i.Paths) == 0 && len(i.Managers) == 0 {
		return errors.New("kind and paths, or managers, are required")
	}
	if slices.Contains(i.Managers, "") {
		return errors.New("managers: a name is empty")
	}
	for _, p := range i.Paths {
		keys := strings.Split(p, "/")
		if len(keys) < 2 || keys[0] != "" || slices.Contains(keys[1:], "") {
			return fmt.Errorf("path %q is not a JSON pointer such as /spec/replicas", p)
		}
		if slices.Contains([]string{"apiVersion", "kind", "metadata"}, keys[1]) && len(keys) < 4 {
			return fmt.Errorf("path %q names what the object is known by", p)
		}
		for _, k := range keys[1:] {
			if k == "-" {
				return fmt.Errorf("path %q names what isn't there yet (-)", p)
			}
			if key, _, ok := strings.Cut(strings.Trim(k, "[]"), "="); strings.HasPrefix(k, "[") && (!ok || key == "" || !strings.HasSuffix(k, "]")) {
				return fmt.Errorf("path %q: %s is none of [key=value], which chooses entries of a list", p, k)
			}
		}
	}
	return nil
}

// Destination is where the objects go.
type Destination struct {
	// Namespace of objects that name none; empty: the Application's own.
	Namespace string `json:"namespace,omitempty"`
	// ServiceAccount of the Application's own namespace with whose rights
	// the objects are applied; empty: "default".
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// KubeconfigSecret of the Application's own namespace leads to another
	// cluster; empty: the synchronizer's own.
	KubeconfigSecret string `json:"kubeconfigSecret,omitempty"`
}

// SyncOptions say how to apply. What is nil has its default.
type SyncOptions struct {
	Prune   *bool     `json:"prune,omitempty"`   // delete what is gone from Git; default true, else it is left for good
	Wait    *bool     `json:"wait,omitempty"`    // for health; default true
	Timeout *Duration `json:"timeout,omitempty"` // of that wait; default 5m
	Resync  *Duration `json:"resync,omitempty"`  // safety net; default 10m
	// SelfHeal has what others change in the cluster put right at once; else it is
	// only told. Default true.
	SelfHeal *bool `json:"selfHeal,omitempty"`
	// Adopt are field managers whose fields are taken over before the first
	// apply, such as kubectl-client-side-apply: what they set and Git doesn't have
	// goes.
	Adopt []string `json:"adopt,omitempty"`
	// MaxPrune is how much of an application one sync may delete: a number of
	// objects, or a share such as "50%". nil: all but the last.
	MaxPrune *Share `json:"maxPrune,omitempty"`
	// AllowEmpty lets a render of no object delete all there are, as far as MaxPrune
	// allows. Otherwise it is refused: it is more often a slip.
	AllowEmpty bool `json:"allowEmpty,omitempty"`
}

// The defaults of [SyncOptions].
const (
	DefaultTimeout = 5 * time.Minute
	DefaultResync  = 10 * time.Minute
)

// Prunes says whether objects that are gone from Git are deleted.
func (s SyncOptions) Prunes() bool { return s.Prune == nil || *s.Prune }

// SelfHeals says whether what others change is put right.
func (s SyncOptions) SelfHeals() bool { return s.SelfHeal == nil || *s.SelfHeal }

// Waits says whether a sync ends only when everything is healthy.
func (s SyncOptions) Waits() bool { return s.Wait == nil || *s.Wait }

// TimeoutOrDefault is how long a sync waits for health.
func (s SyncOptions) TimeoutOrDefault() time.Duration { return s.Timeout.or(DefaultTimeout) }

// ResyncOrDefault is how often an application is looked at without an event.
func (s SyncOptions) ResyncOrDefault() time.Duration { return s.Resync.or(DefaultResync) }

// Share is a number of objects, or a part of all of them in percent. It is
// written as 10 or "10%".
type Share string

// Exceeded says whether n of all are more than the share; never where it is
// nil.
func (s *Share) Exceeded(n, all int) bool {
	if s == nil {
		return false
	}
	number, percent := strings.CutSuffix(string(*s), "%")
	most, err := strconv.Atoi(number)
	if err != nil {
		return true // nothing but what was checked gets here
	}
	if percent {
		return n*100 > most*all
	}
	return n > most
}

// UnmarshalJSON reads a number or a text, and wants one of the two forms.
func (s *Share) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	number, percent := strings.CutSuffix(text, "%")
	most, err := strconv.Atoi(number)
	if err != nil || most < 0 || percent && most > 100 {
		return fmt.Errorf("%s is neither a number of objects nor a share such as \"50%%\"", data)
	}
	*s = Share(text)
	return nil
}

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
