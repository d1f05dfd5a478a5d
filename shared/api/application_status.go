package api

import "time"

// ApplicationStatus is what the synchronizer says of an Application.
type ApplicationStatus struct {
	// ObservedGeneration is the generation of the spec that was acted on.
	ObservedGeneration int64       `json:"observedGeneration,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
	// Attempted is the commit of the last sync that began, Revision that of
	// the last one applied whole, Healthy that of the last one healthy.
	Attempted string `json:"attempted,omitempty"`
	Revision  string `json:"revision,omitempty"`
	Healthy   string `json:"healthy,omitempty"`
	// By is the process that began that sync: another one doesn't know what was sent.
	By string `json:"by,omitempty"`
	// Variables are the versions of the ConfigMaps and Secrets whose values
	// Revision was applied with, and of its chart; never the values.
	Variables string `json:"variables,omitempty"`
	// Chart is what Revision was applied with of a chart repository, as
	// "redis 1.2.3 sha256:…".
	Chart string `json:"chart,omitempty"`
	// Chains are those of the attempted sync.
	Chains []string `json:"chains,omitempty"`
	// Synced is when Revision was applied.
	Synced *time.Time `json:"synced,omitempty"`
	// Degraded is since when it is no longer healthy, though it was.
	Degraded *time.Time `json:"degraded,omitempty"`
	// Drift is since when others have been changing what was applied; nil while
	// nobody does.
	Drift *Drift `json:"drift,omitempty"`
	// Images are the whole references of the last sync.
	Images []string `json:"images,omitempty"`
	// Destination is the cluster of the inventory; nil where none was noted.
	Destination *ClusterReference `json:"destination,omitempty"`
	// Former is what is still to be pruned in clusters to which it went before.
	Former []Former `json:"former,omitempty"`
	// Inventory is everything that was, or was about to be, applied.
	Inventory []InventoryEntry `json:"inventory,omitempty"`
	// Hooks are those of the attempted sync; nil where it has none.
	Hooks *HookRuns `json:"hooks,omitempty"`
	// History has the last [MaxHistory] syncs, the newest first.
	History []HistoryEntry `json:"history,omitempty"`
}

// Condition is as Kubernetes' own: Type is Ready, Reconciling or Stalled, by
// kstatus's rules.
type Condition struct {
	Type               string    `json:"type"`
	Status             string    `json:"status"` // True, False or Unknown
	ObservedGeneration int64     `json:"observedGeneration,omitempty"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
}

// The types of [Condition].
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
	ConditionSuspended   = "Suspended" // there while the application is
	ConditionDrifted     = "Drifted"   // there while what differs is not put right
)

// InventoryEntry is one object that an application manages.
type InventoryEntry struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// State is [Intended] before the object is sent and [Applied] after, so
	// that no crash between the two leaks it.
	State string `json:"state"`
	UID   string `json:"uid,omitempty"`
	// Fields tells apart the sets of fields that may be ours: as long as it is
	// the object's, nobody has changed what we applied.
	Fields string `json:"fields,omitempty"`
	// Hook says that it runs in a hook, and is nothing that stays.
	Hook bool `json:"hook,omitempty"`
	// Stage is that of an object that stays: what is of a later one is deleted first.
	Stage int `json:"stage,omitempty"`
	// To is the Application, as cluster/namespace/name, that wants it instead of
	// this one and has not taken it yet; or that may, which can't be known yet.
	To string `json:"to,omitempty"`
	// Given is the last commit at which this one wanted it, as far as its files
	// tell: who was touched since may want it, if To turns out not to.
	Given string `json:"given,omitempty"`
	// Keep says that Git wanted it kept, and that its object needn't say so: it is left
	// to others.
	Keep bool `json:"keep,omitempty"`
}

// IsApplication says whether it is an Application of ours.
func (e InventoryEntry) IsApplication() bool { return e.Group == Group && e.Kind == ApplicationKind }

// ClusterReference says which cluster it was, and how it was reached.
type ClusterReference struct {
	// Name is the config's of our own cluster, and the API server's host of
	// another.
	Name string `json:"name"`
	// UID is that of the namespace kube-system; empty where it may not be read.
	UID string `json:"uid,omitempty"`
	// Secret and ServiceAccount are those of the spec's destination.
	Secret         string `json:"secret,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
}

// Former is what is left in a cluster to which an application went before.
type Former struct {
	Cluster   ClusterReference `json:"cluster"`
	Inventory []InventoryEntry `json:"inventory"`
}

// Drift is an episode in which the cluster is not as applied, or was put right
// a moment ago.
type Drift struct {
	Since time.Time `json:"since"`
	// Message says what was changed, and by whom.
	Message string `json:"message"`
}

// HookRuns says how far the hooks of a sync are, so that none runs twice.
type HookRuns struct {
	// Run names the revision that they run for.
	Run string `json:"run"`
	// Done are those that have succeeded, such as "pre Job shop/migrate".
	Done []string `json:"done,omitempty"`
	// Failed says which one has failed, and why.
	Failed string `json:"failed,omitempty"`
}

// The states of an [InventoryEntry].
const (
	Intended = "intended"
	Applied  = "applied"
)

// MaxHistory bounds [ApplicationStatus.History].
const MaxHistory = 20

// HistoryEntry is one sync that ended.
type HistoryEntry struct {
	Commit  string    `json:"commit"`
	Chains  []string  `json:"chains,omitempty"`
	Images  []string  `json:"images,omitempty"`
	Time    time.Time `json:"time"`
	Outcome string    `json:"outcome"` // healthy, applied, failed, superseded
	Message string    `json:"message,omitempty"`
}

// The outcomes of a sync.
const (
	OutcomeHealthy    = "healthy"    // applied, and everything is ready
	OutcomeApplied    = "applied"    // applied; it doesn't wait for health
	OutcomeFailed     = "failed"     // not rendered, not applied, or not healthy in time
	OutcomeSuperseded = "superseded" // a newer commit came first
)

// Condition finds a condition by its type; nil when it isn't there.
func (s *ApplicationStatus) Condition(kind string) *Condition {
	if s == nil {
		return nil
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

// SetCondition sets a condition; its transition time moves only when its
// status does.
func (s *ApplicationStatus) SetCondition(c Condition) {
	old := s.Condition(c.Type)
	if old == nil {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
}

// RemoveCondition removes a condition: kstatus reads an absent Reconciling or
// Stalled as False.
func (s *ApplicationStatus) RemoveCondition(kind string) {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			s.Conditions = append(s.Conditions[:i], s.Conditions[i+1:]...)
			return
		}
	}
}

// Remember puts an entry at the front of the history. An entry of the same
// commit at the front is replaced: a sync that is tried again is one sync.
func (s *ApplicationStatus) Remember(e HistoryEntry) {
	if len(s.History) > 0 && s.History[0].Commit == e.Commit {
		s.History = s.History[1:]
	}
	s.History = append([]HistoryEntry{e}, s.History...)
	if len(s.History) > MaxHistory {
		s.History = s.History[:MaxHistory]
	}
}

// Generation is the observed generation; 0 for a status that isn't there.
func (s *ApplicationStatus) Generation() int64 {
	if s == nil {
		return 0
	}
	return s.ObservedGeneration
}
