package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
)

const ownerAnnotation = "slipway.dev/owner"

// lookedAt are the resources that random repos use, but for the kinds that they
// define.
var lookedAt = []schema.GroupVersionResource{
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Version: "v1", Resource: "namespaces"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: api.Group, Version: "v1alpha1", Resource: "projects"},
	applicationResource, jobResource,
}

// live reads what there is, by key.
func (r *randomWorld) live(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	all := map[string]*unstructured.Unstructured{}
	list := func(resource schema.GroupVersionResource) error {
		found, err := r.o.Clients.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			if apierrors.IsNotFound(err) {
				return nil // its definition is on its way out, or in
			}
			return err
		}
		for _, u := range found.Items {
			all[keyOf(&u)] = &u
		}
		return nil
	}
	for _, resource := range lookedAt {
		if err := list(resource); err != nil {
			return nil, err
		}
	}
	for _, u := range maps.Clone(all) {
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		plural, _, _ := unstructured.NestedString(u.Object, "spec", "names", "plural")
		if u.GetKind() == "CustomResourceDefinition" && strings.HasSuffix(group, ".example.com") {
			if err := list(schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func keyOf(u *unstructured.Unstructured) string {
	return objectKey(u.GetKind(), u.GroupVersionKind().Group, u.GetNamespace(), u.GetName())
}

// becomes waits until the cluster is as the branch's head wants it, and holds
// what must be so all the time.
func (r *randomWorld) becomes() {
	r.t.Helper()
	must(r.t, parts.Eventually(r.t.Context(), patience, r.running))
	f := r.latest()
	var all map[string]*unstructured.Unstructured
	err := parts.Eventually(r.t.Context(), patience, func() (err error) {
		if all, err = r.live(r.t.Context()); err != nil {
			return err
		}
		return faultsOf(slices.Concat(r.states(f, all), r.contents(f, all), r.leftovers(f, all)))
	})
	if err != nil {
		r.t.Fatalf("the cluster is not as %.12s wants it: %v", f.commit, err)
	}
	if err := faultsOf(slices.Concat(r.identities(f, all), r.untouched(all), r.histories())); err != nil {
		r.t.Fatalf("at %.12s: %v", f.commit, err)
	}
	r.say("  is as %.12s wants it: %d objects, %d applications, %d of them can't be", f.commit, len(f.objects), len(f.apps), len(f.broken))
	r.remember(f, all)
}

func faultsOf(all []string) error {
	const most = 12
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return fmt.Errorf("%d faults:\n%s", len(all), strings.Join(all[:min(most, len(all))], "\n"))
}

// states: every application says that it is ready, or why it can't be.
func (r *randomWorld) states(f *fleet, all map[string]*unstructured.Unstructured) (faults []string) {
	waits := f.waits(all)
	for key, u := range all {
		if u.GetKind() != api.ApplicationKind {
			continue
		}
		data, err := json.Marshal(u.Object)
		application := &api.Application{}
		if err == nil {
			err = json.Unmarshal(data, application)
		}
		if err != nil || application.Status == nil {
			faults = append(faults, fmt.Sprintf("%s has no status: %v", key, err))
			continue
		}
		why, broken := f.broken[u.GetName()]
		ready := application.Status.Condition(api.ConditionReady)
		switch {
		case f.apps[u.GetName()] == nil && u.GetName() != "root": // told of as a leftover
		case u.GetName() == "root" && len(f.broken) > 0: // it waits for those
		case broken && !f.unknown(u.GetName()), waits[u.GetName()]:
		case why == isSuspended:
			if s := application.Status.Condition(api.ConditionSuspended); s == nil {
				faults = append(faults, fmt.Sprintf("%s is suspended, and doesn't say so: %+v", key, application.Status.Conditions))
			}
		case broken:
			if s := application.Status.Condition(api.ConditionStalled); s == nil || !strings.Contains(s.Message, "zz-broken.yaml") {
				faults = append(faults, fmt.Sprintf("%s can't be rendered (%s), and doesn't say so: %+v", key, why, application.Status.Conditions))
			}
		case ready == nil || ready.Status != "True" || application.Status.ObservedGeneration != u.GetGeneration():
			faults = append(faults, fmt.Sprintf("%s is not ready: %+v", key, application.Status.Conditions))
		}
	}
	return faults
}

// contents: what Git has is there as it is in Git, but for what comes after something
// that another application holds.
func (r *randomWorld) contents(f *fleet, all map[string]*unstructured.Unstructured) (faults []string) {
	waits := f.waits(all)
	for key, w := range f.objects {
		if f.broken[w.app] != "" || waits[w.app] {
			continue
		}
		u := all[key]
		if u == nil && w.hook {
			continue // it has run, and went with another application that ran it, too
		}
		if u == nil {
			faults = append(faults, key+" of "+w.app+" is not there")
			continue
		}
		owner := u.GetAnnotations()[ownerAnnotation]
		if w.hook && f.undecided(owner) {
			continue // one that is to go has run it meanwhile, too
		}
		if w.once && owner == "" {
			continue // somebody has taken it
		}
		if owner != f.owner(w.app) {
			faults = append(faults, fmt.Sprintf("%s is of %q, not of %q", key, owner, f.owner(w.app)))
			continue
		}
		if u.GetDeletionTimestamp() != nil {
			faults = append(faults, key+" is being deleted")
		}
		if w.hook || w.once {
			continue // as it was when it ran, or was made
		}
		if fault := w.differs(u.Object); fault != "" {
			faults = append(faults, key+" of "+w.app+": "+fault)
		}
	}
	return faults
}

// leftovers: nothing else is ours, but for what was asked to stay and what
// belongs to applications that can't be applied.
func (r *randomWorld) leftovers(f *fleet, all map[string]*unstructured.Unstructured) (faults []string) {
	waits := f.waits(all)
	for key, u := range all {
		owner := u.GetAnnotations()[ownerAnnotation]
		if metav1.GetControllerOf(u) != nil {
			continue // a ReplicaSet says what its Deployment does
		}
		if _, wanted := f.objects[key]; wanted || owner == "" || strings.HasPrefix(u.GetName(), foreign) || r.mayStay[key] {
			continue
		}
		to := goesTo(key, all)
		if f.undecided(owner) || to != "" && f.undecided(to) || waits[appOf(owner)] {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s of %s is left, and goes to %q", key, owner, to))
	}
	return faults
}

// kept says whether an object was wanted all the time since the last check, also by
// one that couldn't be rendered, or belonged to an application that could not be
// applied, had it at that check, and was the only one to have it since.
func (r *randomWorld) kept(key string) bool {
	app := r.sure.fleet.meant[key].app
	moved := false
	for _, f := range r.since {
		w, wanted := f.meant[key]
		switch {
		case wanted:
			moved = moved || w.app != app
		case f.broken[app] == "" || f.broken[app] == isSuspended || f.apps[app] == nil || moved || !r.sure.had[key]:
			return false // what suspends it may come after what else the commit has
		}
	}
	return true
}

// stays says whether an object must be there though Git hasn't it any more:
// itself or its application was made so all the time.
func (r *randomWorld) stays(key string) bool {
	w := r.sure.fleet.meant[key]
	if w.hook {
		return false // it may run again
	}
	keep, orphans := w.keep, r.sure.fleet.orphans(w.app)
	for _, f := range r.since {
		now, wanted := f.meant[key]
		if keep = keep && (!wanted || now.keep); keep {
			continue
		}
		if wanted && now.app != w.app {
			return false // that one may have taken it, and decides
		}
		if wanted {
			orphans = orphans && f.orphans(w.app)
			continue
		}
		return orphans && f.apps[w.app] == nil && f == r.latest()
	}
	return keep
}

// left says whether an object must be there though Git hasn't it any more, as long
// as its application prunes nothing.
func (r *randomWorld) left(key string) bool {
	w := r.sure.fleet.meant[key]
	for _, f := range append([]*fleet{r.sure.fleet}, r.since...) {
		if now, wanted := f.meant[key]; wanted && now.app != w.app || f.apps[w.app] == nil || !f.leaves(w.app) {
			return false
		}
	}
	return !w.hook && r.sure.had[key]
}

// identities: what was wanted all the time is the same object still, whichever
// application has it.
func (r *randomWorld) identities(f *fleet, all map[string]*unstructured.Unstructured) (faults []string) {
	same := func(key, uid, why string) {
		switch u := all[key]; {
		case r.byHand[key]:
		case u == nil:
			faults = append(faults, key+" is gone, which "+why)
		case string(u.GetUID()) != uid:
			faults = append(faults, key+" was made anew, which "+why)
		}
	}
	for key, uid := range r.stay {
		if _, wanted := f.objects[key]; !wanted {
			same(key, uid, "was to stay")
		}
	}
	if r.sure == nil {
		return faults
	}
	for key, uid := range r.sure.uids {
		switch w, known := r.sure.fleet.meant[key]; {
		case !known || w.hook:
		case r.kept(key):
			same(key, uid, "was wanted all the time")
		case r.stays(key):
			same(key, uid, "was to be kept")
		case r.left(key):
			same(key, uid, "nobody was to prune")
		}
	}
	return faults
}

// untouched: what others have put into the cluster is as they left it.
func (r *randomWorld) untouched(all map[string]*unstructured.Unstructured) (faults []string) {
	for key, was := range r.foreign {
		u := all[key]
		if u == nil || string(u.GetUID())+u.GetResourceVersion() != was {
			faults = append(faults, key+" of somebody else was touched")
		}
	}
	for _, field := range r.fields {
		u := all[field.key]
		if u == nil || string(u.GetUID()) != field.uid {
			continue // another object
		}
		if value, _, _ := unstructured.NestedString(u.Object, field.path...); value != field.value {
			faults = append(faults, fmt.Sprintf("%s of %s is %q, not %q as somebody else has set it", strings.Join(field.path, "."), field.key, value, field.value))
		}
	}
	return faults
}

// histories: no hook ran twice, and what was applied never went back.
func (r *randomWorld) histories() (faults []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run, uids := range r.jobs {
		if len(uids) > 1+r.forced {
			faults = append(faults, fmt.Sprintf("hook %s ran %d times", run, len(uids)))
		}
	}
	return append(faults, r.back...)
}

// remember what holds now.
func (r *randomWorld) remember(f *fleet, all map[string]*unstructured.Unstructured) {
	for key := range r.stay {
		if _, wanted := f.objects[key]; wanted && f.broken[f.objects[key].app] == "" {
			delete(r.stay, key)
		}
	}
	if r.sure != nil {
		for key, uid := range r.sure.uids {
			if _, wanted := f.objects[key]; wanted || r.kept(key) || !r.stays(key) {
				continue
			}
			switch u := all[key]; {
			case !r.byHand[key]:
				r.stay[key] = uid
			case u != nil: // somebody has deleted it, and it was made anew
				r.stay[key] = string(u.GetUID())
			}
		}
	}
	now := &sure{fleet: f, uids: map[string]string{}, had: map[string]bool{}}
	for key, w := range f.meant {
		if u := all[key]; u != nil && (f.broken[w.app] == "" || goesTo(key, all) != "") {
			now.uids[key], now.had[key] = string(u.GetUID()), u.GetAnnotations()[ownerAnnotation] == f.owner(w.app)
			delete(r.mayStay, key)
		}
	}
	leave := r.leave(f)
	for key, u := range all { // who has it now has let go of it, or may have
		if owner := u.GetAnnotations()[ownerAnnotation]; leave[owner] && f.owner(f.objects[key].app) != owner {
			r.mayStay[key] = true
		}
	}
	r.sure, r.since, r.byHand = now, nil, map[string]bool{}
}

// nothingElse waits until no kind that there is has anything that says that it is
// ours and isn't wanted: what an application is about to give up may still be there.
func (r *randomWorld) nothingElse() {
	r.t.Helper()
	kinds, err := r.w.Kubectl(r.t.Context(), "", "api-resources", "--verbs=list", "-o", "name")
	must(r.t, err)
	must(r.t, parts.EventuallyEvery(r.t.Context(), time.Second, patience, func() error {
		out, err := r.w.Kubectl(r.t.Context(), "", "get", strings.ReplaceAll(strings.TrimSpace(kinds), "\n", ","), "-A", "-o", "json", "--ignore-not-found")
		if err != nil {
			return err
		}
		list := &unstructured.UnstructuredList{}
		if err := list.UnmarshalJSON([]byte(out)); err != nil {
			return err
		}
		all := map[string]*unstructured.Unstructured{}
		for _, u := range list.Items {
			all[keyOf(&u)] = &u
		}
		if len(all) < len(r.sure.uids) {
			return fmt.Errorf("of all kinds there are only %d objects", len(all))
		}
		return faultsOf(r.leftovers(r.latest(), all))
	}))
}
