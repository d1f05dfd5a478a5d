package render

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Hook is a part of a sync in which an object runs, once per revision.
type Hook string

// The hooks.
const (
	HookPre  Hook = "pre"  // before what belongs to no hook; a failed one stops the sync
	HookSync Hook = "sync" // among the ordinary objects
	HookPost Hook = "post" // when everything is healthy
	HookTest Hook = "test" // after those: whether it works
	HookFail Hook = "fail" // when the sync has failed
)

// What an object says of its turn. Those of other tools that mean the same are
// read alike; where several are there the first of the table counts.
const (
	hookAnnotation  = "slipway.dev/hook"
	stageAnnotation = "slipway.dev/stage"
)

// hookWord is one word of an annotation: when it means a hook.
type hookWord struct {
	hook             Hook
	install, upgrade bool // the first sync of an application; those that follow
}

// hookAnnotations: a word that isn't here is for what is never a sync (deletion,
// rollback, tests that nobody asked for); in our own it is a fault.
var hookAnnotations = []struct {
	key   string
	words map[string]hookWord
}{
	{hookAnnotation, map[string]hookWord{
		"pre": {HookPre, true, true}, "post": {HookPost, true, true}, "test": {HookTest, true, true}, "fail": {HookFail, true, true},
	}},
	{"argocd.argoproj.io/hook", map[string]hookWord{
		"PreSync": {HookPre, true, true}, "Sync": {HookSync, true, true}, "PostSync": {HookPost, true, true}, "SyncFail": {HookFail, true, true},
	}},
	{"helm.sh/hook", map[string]hookWord{
		"pre-install": {HookPre, true, false}, "pre-upgrade": {HookPre, false, true},
		"post-install": {HookPost, true, false}, "post-upgrade": {HookPost, false, true},
	}},
}

// crdInstall is Helm 2's word for a CRD, which is an ordinary object today.
const crdInstall = "crd-install"

// stageAnnotations; Helm's counts for its hooks alone.
var stageAnnotations = []string{stageAnnotation, "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"}

// Turn says when an object is applied.
type Turn struct {
	// IsHook says that the object runs in hooks, if at all; Install and Upgrade
	// are those of an application's first sync and of those that follow.
	IsHook           bool
	Install, Upgrade []Hook
	// Stage orders within what it belongs to; those of a lower one come first.
	Stage int
}

// Hooks are those in which the object runs.
func (t Turn) Hooks(first bool) []Hook {
	if first {
		return t.Install
	}
	return t.Upgrade
}

// TurnOf reads an object's annotations. The error says which of them is wrong.
func TurnOf(annotations map[string]string) (t Turn, err error) {
	for _, a := range hookAnnotations {
		text, there := annotations[a.key]
		if !there || text == crdInstall {
			continue
		}
		t.IsHook = true
		for word := range strings.SplitSeq(text, ",") {
			word = strings.TrimSpace(word)
			found, known := a.words[word]
			if !known && a.key == hookAnnotation {
				return t, fmt.Errorf("the annotation %s is %q: it is pre, post, test or fail", a.key, text)
			}
			if found.install && !slices.Contains(t.Install, found.hook) {
				t.Install = append(t.Install, found.hook)
			}
			if found.upgrade && !slices.Contains(t.Upgrade, found.hook) {
				t.Upgrade = append(t.Upgrade, found.hook)
			}
		}
		break
	}
	for _, key := range stageAnnotations {
		text, there := annotations[key]
		if !there || key == "helm.sh/hook-weight" && !t.IsHook {
			continue
		}
		stage, bad := strconv.Atoi(strings.TrimSpace(text))
		if bad != nil || stage > math.MaxInt32 || stage < math.MinInt32 {
			return t, fmt.Errorf("the annotation %s is %q: it is a whole number", key, text)
		}
		t.Stage = stage
		break
	}
	return t, nil
}

// turn is an object's, as far as it can be read; what can't is told by
// [badTurns].
func (o Object) turn() (Turn, error) {
	meta, _ := o.Map["metadata"].(map[string]any)
	all, _ := meta["annotations"].(map[string]any)
	if len(all) == 0 {
		return Turn{}, nil
	}
	annotations := map[string]string{}
	for _, a := range hookAnnotations {
		if text, ok := all[a.key].(string); ok {
			annotations[a.key] = text
		}
	}
	for _, key := range stageAnnotations {
		if text, ok := all[key].(string); ok {
			annotations[key] = text
		}
	}
	return TurnOf(annotations)
}

// badTurns are the faults of annotations that say when an object is applied.
func badTurns(objects []Object) []error {
	var faults []error
	for _, o := range objects {
		if _, err := o.turn(); err != nil {
			faults = append(faults, &Error{File: o.File, Line: o.Line, Reason: ReasonInvalid, Message: fmt.Sprintf("%s: %v", o.ID, err)})
		}
	}
	return faults
}

// place is where an object stands in the order of a first sync: definitions and
// namespaces, hooks before, cluster-wide objects, the rest (of each stage our
// Applications last), hooks after.
type place struct{ part, stage, late int }

func placeOf(o Object) place {
	t, _ := o.turn() // what can't be read is told elsewhere
	stage := o.Stage()
	switch hooks := t.Hooks(true); {
	case !t.IsHook && stage == StageFoundation:
		return place{0, t.Stage, 0}
	case slices.Contains(hooks, HookPre):
		return place{1, t.Stage, 0}
	case !t.IsHook || slices.Contains(hooks, HookSync):
		return place{2 + stage, t.Stage, o.Late()}
	case slices.Contains(hooks, HookPost):
		return place{3 + StageRest, t.Stage, 0}
	case slices.Contains(hooks, HookTest):
		return place{4 + StageRest, t.Stage, 0}
	}
	return place{5 + StageRest, t.Stage, 0}
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.part, q.part), cmp.Compare(p.stage, q.stage), cmp.Compare(p.late, q.late))
}
