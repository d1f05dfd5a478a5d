package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// randomSweep finds pushes of which nobody was told.
const randomSweep = 3 * time.Second

var randomFaults = []fault{
	killed("synchronizer"), killed("second"), killed("synchronizer"), killed("second"), killed("bus"), killed("git-receiver"),
	paused("synchronizer"), paused("second"),
	{"the synchronizer dies at a message", []string{"synchronizer", "API"}, diesAtMessage},
	{"the API server is out", []string{"API"}, isOut("the API server", func(w *local.World) *local.Proxy { return w.APIProxy })},
	{"webhooks come late, twice and in disorder", []string{"webhooks"}, webhooksInDisorder},
	{"the API server refuses some", []string{"refusals"}, someRefused},
}

// diesAtMessage kills it at one of what the synchronizers and the API server say.
func diesAtMessage(c *chaos, rng *rand.Rand) {
	trap := c.trap("synchronizer")
	var left atomic.Int32
	left.Store(int32(1 + rng.IntN(150)))
	c.say("  kill the synchronizer at message %d", left.Load())
	trap.at(c.w.APIProxy, func(local.Chunk) bool { return left.Add(-1) == 0 })
	restarted := trap.restart(millis(rng, 300))
	time.Sleep(2*time.Second + millis(rng, 1000))
	c.w.APIProxy.Hook(nil)
	trap.disarm()
	<-restarted
}

// someRefused has the API server refuse some objects for a while.
func someRefused(c *chaos, rng *rand.Rand) {
	away := millis(rng, 4000)
	c.say("  the API server refuses some for %s", away.Round(time.Millisecond))
	policy := object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", fields{"name": foreign}, fields{"spec": fields{
		"matchConstraints": fields{"resourceRules": []any{fields{
			"apiGroups": []any{"", "apps"}, "apiVersions": []any{"*"}, "resources": []any{"*"}, "operations": []any{"CREATE", "UPDATE"},
		}}},
		"matchConditions": []any{fields{"name": "ours", "expression": "request.userInfo.username == 'system:serviceaccount:shop:deployer'"}},
		"validations":     []any{fields{"expression": "!has(object.metadata.labels) || !('even' in object.metadata.labels)", "message": "not now"}},
	}})
	binding := object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", fields{"name": foreign}, fields{"spec": fields{
		"policyName": foreign, "validationActions": []any{"Deny"},
	}})
	ctx := c.t.Context()
	resources := []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"}
	at := func(i int) dynamic.ResourceInterface {
		return c.o.Clients.Dynamic.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resources[i]})
	}
	for i, o := range []fields{policy, binding} {
		if _, err := at(i).Create(ctx, &unstructured.Unstructured{Object: o}, metav1.CreateOptions{}); err != nil {
			c.t.Errorf("refuse some objects: %v", err)
		}
	}
	time.Sleep(away)
	for i := range resources {
		if err := at(i).Delete(ctx, foreign, metav1.DeleteOptions{}); err != nil {
			c.t.Errorf("refuse some objects no more: %v", err)
		}
	}
}

func webhooksInDisorder(c *chaos, rng *rand.Rand) {
	c.w.Door.HoldGit(true)
	before := len(c.w.Door.FromGit())
	time.Sleep(millis(rng, 2000))
	c.w.Door.HoldGit(false)
	all := c.w.Door.FromGit()
	late := all[before:]
	if len(all) > 0 {
		late = append(slices.Clone(late), late...)
		late = append(late, anyOf(rng, all)) // of long ago
	}
	c.say("  %d webhooks come late and in disorder", len(late))
	for _, i := range rng.Perm(len(late)) {
		if err := parts.Eventually(c.t.Context(), patience, func() error { return c.tell(late[i]) }); err != nil {
			c.t.Errorf("tell of a push: %v", err)
		}
	}
}

// disturbed begins up to three faults, and gives what waits for their end.
func (r *randomWorld) disturbed() (wait func()) {
	return r.suffers(r.rng, randomFaults)
}

// foreignField is a field that somebody else has set, which stays.
type foreignField struct {
	key, uid string
	path     []string
	value    string
}

// putForeign makes objects by hand, which are none of ours, whatever they say.
func (r *randomWorld) putForeign() {
	r.t.Helper()
	maps := r.o.Clients.Dynamic.Resource(configMapResource).Namespace("shop")
	for name, annotations := range map[string]map[string]any{
		foreign + "-plain":  nil,
		foreign + "-forged": {ownerAnnotation: r.latest().owner(r.repo.Apps[0].Name)},
		foreign + "-root":   {ownerAnnotation: "local/slipway-system/root"},
	} {
		u := &unstructured.Unstructured{Object: object("v1", "ConfigMap", fields{"name": name, "annotations": annotations}, fields{"data": fields{"by": "hand"}})}
		made, err := maps.Create(r.t.Context(), u, metav1.CreateOptions{FieldManager: "hand"})
		must(r.t, err)
		r.foreign[keyOf(made)] = string(made.GetUID()) + made.GetResourceVersion()
	}
}

// byHands are what people do to objects of ours in the cluster.
var byHands = []struct {
	name string
	run  func(*randomWorld, context.Context, schema.GroupVersionResource, *unstructured.Unstructured) error
}{
	{"edit", editByHand},
	{"delete", deleteByHand},
	{"take our name off", nameTakenOff},
	{"add a label to", labelByHand},
	{"set what is left to others of", leftByHand},
	{"keep for a while what may be deleted of", heldByHand},
}

// changeByHand does one of these to an object that held at the last check.
func (r *randomWorld) changeByHand() {
	r.t.Helper()
	all, err := r.live(r.t.Context())
	must(r.t, err)
	var keys []string
	for key := range r.sure.uids {
		w := r.sure.fleet.objects[key]
		if _, wanted := r.latest().objects[key]; wanted && all[key] != nil && w.app != "" && !w.hook && all[key].GetKind() != "Namespace" && all[key].GetKind() != "CustomResourceDefinition" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.Sort(keys)
	u, act := all[anyOf(r.rng, keys)], anyOf(r.rng, byHands)
	resource, err := r.o.Clients.Mapper.Find(u.GroupVersionKind())
	if err == nil {
		err = act.run(r, r.t.Context(), resource.GroupVersionResource, u)
	}
	r.say("  by hand: %s %s: %v", act.name, keyOf(u), err)
}

func (r *randomWorld) patch(ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured, body string) error {
	_, err := r.o.Clients.Dynamic.Resource(resource).Namespace(u.GetNamespace()).
		Patch(ctx, u.GetName(), types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "hand"})
	return err
}

// editByHand changes a field that is ours.
func editByHand(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	body := `{"metadata":{"labels":{"unit":"edited"}}}`
	switch u.GetKind() {
	case "ConfigMap":
		body = `{"metadata":{"labels":{"unit":null}}}`
		if _, ours, _ := unstructured.NestedString(u.Object, "data", "value"); ours {
			body = `{"data":{"value":"edited"},"metadata":{"labels":{"unit":null}}}`
		}
	case "Secret":
		body = `{"data":{"value":"ZWRpdGVk"}}`
	case "Deployment":
		body = `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":7}}},"metadata":{"labels":{"unit":"edited"}}}`
	}
	return r.patch(ctx, resource, u, body)
}

func deleteByHand(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	r.byHand[keyOf(u)] = true
	return r.o.Clients.Dynamic.Resource(resource).Namespace(u.GetNamespace()).Delete(ctx, u.GetName(), metav1.DeleteOptions{})
}

func nameTakenOff(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	return r.patch(ctx, resource, u, fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, ownerAnnotation))
}

// labelByHand adds what Git doesn't have, which is left alone.
func labelByHand(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	value := r.repo.name("hand")
	return r.setByHand(ctx, resource, u, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, foreign, value), value, "metadata", "labels", foreign)
}

// leftByHand sets a field that Git has, too, and that its application leaves to
// others.
func leftByHand(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	_, has, _ := unstructured.NestedString(u.Object, "data", "left")
	taken := func(f *fleet) bool { return len(f.objects[keyOf(u)].left) == 0 }
	if !has || taken(r.sure.fleet) || slices.ContainsFunc(r.since, taken) {
		return labelByHand(r, ctx, resource, u)
	}
	value := r.repo.name("hand")
	return r.setByHand(ctx, resource, u, fmt.Sprintf(`{"data":{"left":%q}}`, value), value, "data", "left")
}

// heldByHand has an object go only after a while, should it be deleted.
func heldByHand(r *randomWorld, ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) error {
	if err := r.patch(ctx, resource, u, `{"metadata":{"finalizers":["`+foreign+`.example.com/held"]}}`); err != nil {
		return err
	}
	r.away.Go(func() {
		time.Sleep(2 * time.Second)
		err := parts.Eventually(ctx, patience, func() error {
			if err := r.patch(ctx, resource, u, `{"metadata":{"finalizers":null}}`); !apierrors.IsNotFound(err) {
				return err
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			r.t.Errorf("let go of %s: %v", keyOf(u), err)
		}
	})
	return nil
}

func (r *randomWorld) setByHand(ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured, body, value string, path ...string) error {
	err := r.patch(ctx, resource, u, body)
	if err == nil {
		r.fields = slices.DeleteFunc(r.fields, func(f foreignField) bool { return f.key == keyOf(u) && f.path[0] == path[0] })
		r.fields = append(r.fields, foreignField{keyOf(u), string(u.GetUID()), path, value})
	}
	return err
}
