package synchronizer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/diff"
	"github.com/slipway-cd/slipway/services/synchronizer/lookup"
	"github.com/slipway-cd/slipway/services/synchronizer/sync"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// Change is what would become of one object.
type Change = diff.Change

// ChangeFailed is the action of a [Change] that could not be found out.
const ChangeFailed = diff.Failed

// DiffOptions say what [Diff] compares.
type DiffOptions struct {
	RenderOptions
	// Trusted are namespaces whose Applications act with the synchronizer's own
	// rights; here that is the user's.
	Trusted []string
	// OwnRights tries with the user's rights, whatever the Application says.
	OwnRights bool
	// Marks begin labels and annotations that another tool wrote: that they go is
	// no difference.
	Marks []string
	// Note is told what a person should know; it may be nil.
	Note func(string)
}

// ApplicationResource is where Applications are in a cluster.
var ApplicationResource = schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ApplicationResource}

// Diff renders as [Render] does and says what an apply of it would change in the
// cluster; nothing is changed. One object's fault stops no other: it is a change
// of its own.
func Diff(ctx context.Context, clients *kube.Clients, o DiffOptions) ([]Change, error) {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	dir, request, application, err := folder(o.RenderOptions)
	if err != nil {
		return nil, err
	}
	done, err := o.complete(&request, dir)
	if err != nil {
		return nil, err
	}
	defer done()
	return DiffRequest(ctx, clients, application, request, o)
}

// DiffRequest is [Diff] for what is rendered elsewhere than on disk. The
// Application may be nil.
func DiffRequest(ctx context.Context, clients *kube.Clients, application *api.Application, request render.Request, o DiffOptions) ([]Change, error) {
	if application == nil {
		application = &api.Application{}
		application.Metadata.Namespace = "default"
	}
	act, err := rights(ctx, clients, application, o)
	if err != nil {
		return nil, err
	}
	vars, err := named(ctx, act, application, &request, o)
	if err != nil {
		return nil, err
	}
	to, act, err := destination(ctx, clients, act, application, o)
	if err != nil {
		return nil, err
	}
	if helm := application.Spec.Source.Helm; helm != nil && helm.Lookup {
		mine := diff.Owner{Namespace: application.Metadata.Namespace, Name: application.Metadata.Name}.Mine
		request.Cluster = lookup.Cluster{Mapper: to.Mapper, Client: act, Mine: mine}
	}
	result, err := render.Render(ctx, request)
	if err != nil {
		return nil, err
	}
	owner, err := ownerOf(ctx, clients, application, o)
	if err != nil {
		return nil, err
	}
	spec := application.Spec
	target := spec.Destination.Namespace
	if target == "" {
		target = application.Metadata.Namespace
	}
	if o.RenderOptions.Namespace != "" {
		target = o.RenderOptions.Namespace
	}
	applier := apply.New(to, nil)
	items, err := applier.Prepare(result.Objects, apply.Options{Namespace: target, Labels: spec.Labels, Annotations: spec.Annotations, Ignore: spec.Ignore})
	if err != nil {
		return nil, fmt.Errorf("ask the cluster for its kinds: %w", err)
	}
	changes := diff.Compare(ctx, diff.Clients{Applier: applier, Look: to.Dynamic, Act: act, Marks: o.Marks}, owner, items)
	for i := range changes {
		c := &changes[i]
		c.Diff, c.Message = result.Masks.Hide(vars.Redacted(c.Diff)), result.Masks.Hide(vars.Redacted(c.Message))
	}
	return changes, ctx.Err()
}

// rights are those of the Application, where the user may act for its account,
// else the user's own.
func rights(ctx context.Context, clients *kube.Clients, application *api.Application, o DiffOptions) (dynamic.Interface, error) {
	namespace, account := application.Metadata.Namespace, application.Spec.Destination.ServiceAccount
	if o.OwnRights || application.Metadata.Name == "" || slices.Contains(o.Trusted, namespace) {
		return clients.Dynamic, nil
	}
	if account == "" {
		account = "default"
	}
	client, err := clients.As(namespace, account)
	if err != nil {
		return nil, err
	}
	// What it is asked for doesn't count, but whether we may ask so.
	_, err = client.Resource(ApplicationResource).Namespace(namespace).Get(ctx, application.Metadata.Name, metav1.GetOptions{})
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot impersonate") {
		o.Note(fmt.Sprintf("you may not act for the service account %s/%s: this is tried with your own rights, and what the account may not do is not seen", namespace, account))
		return clients.Dynamic, nil
	}
	if err != nil && !answered(err) {
		return nil, fmt.Errorf("ask the cluster: %w", err)
	}
	return client, nil
}

// destination is the cluster of the Application's objects, and a client with its
// rights there: as the synchronizer has it, where its Secret may be read.
func destination(ctx context.Context, clients *kube.Clients, act dynamic.Interface, application *api.Application, o DiffOptions) (*kube.Clients, dynamic.Interface, error) {
	to := application.Spec.Destination
	if to.KubeconfigSecret == "" {
		return clients, act, nil
	}
	other, err := sync.Elsewhere(ctx, act, application.Metadata.Namespace, to.KubeconfigSecret)
	if err != nil && ctx.Err() == nil {
		o.Note(fmt.Sprintf("it is compared with the cluster of your kubeconfig, not with its own: %v", err))
		return clients, act, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if to.ServiceAccount == "" {
		return other, other.Dynamic, nil
	}
	act, err = other.As(application.Metadata.Namespace, to.ServiceAccount)
	return other, act, err
}

// named has a request know the ConfigMaps and Secrets that the Application names, or
// the files in their place.
func named(ctx context.Context, act dynamic.Interface, application *api.Application, request *render.Request, o DiffOptions) (sync.Variables, error) {
	vars, err := diffVariables(ctx, act, application, o)
	if err != nil {
		return vars, err
	}
	if values := vars.Values(); values != nil {
		request.Vars = values
	}
	if helm := application.Spec.Source.Helm; helm != nil && len(o.Values) == 0 {
		if request.Helm.ValuesFrom, err = sync.LookUpValues(ctx, act, application.Metadata.Namespace, helm.ValuesFrom); err != nil {
			return vars, fmt.Errorf("%w (--values FILE stands in for it)", err)
		}
	}
	return vars, nil
}

// diffVariables are those of a file, or of the cluster.
func diffVariables(ctx context.Context, client dynamic.Interface, application *api.Application, o DiffOptions) (sync.Variables, error) {
	s := &api.Substitute{}
	if application.Spec.Substitute != nil {
		*s = *application.Spec.Substitute
	} else if o.Vars == "" {
		return sync.Variables{}, nil
	}
	if o.Vars != "" {
		given, err := readVars(o.Vars)
		if err != nil {
			return sync.Variables{}, err
		}
		maps.Copy(given, s.Vars)
		s.Vars, s.From = given, nil
	}
	vars, err := sync.LookUp(ctx, client, application.Metadata.Namespace, s)
	if err != nil {
		return vars, fmt.Errorf("%w (--vars FILE stands in for it)", err)
	}
	return vars, nil
}

// ownerOf is an Application as the cluster knows it.
func ownerOf(ctx context.Context, clients *kube.Clients, application *api.Application, o DiffOptions) (diff.Owner, error) {
	m := application.Metadata
	owner := diff.Owner{Namespace: m.Namespace, Name: m.Name, Prunes: application.Spec.Sync.Prunes()}
	if m.Name == "" {
		return diff.Owner{}, nil
	}
	live, err := LiveApplication(ctx, clients, m.Namespace, m.Name)
	if apierrors.IsForbidden(err) {
		o.Note(fmt.Sprintf("you may not read Application %s/%s: what would be pruned is not told", m.Namespace, m.Name))
		return owner, nil
	}
	if err != nil {
		return owner, err
	}
	if live == nil || live.Status == nil {
		return owner, nil
	}
	s := live.Status
	if was := s.Destination; was != nil && was.Secret != application.Spec.Destination.KubeconfigSecret {
		o.Note(fmt.Sprintf("it goes to another cluster than before: what of its %d objects in %s would be pruned is not told", len(s.Inventory), was.Name))
		return owner, nil
	}
	owner.Inventory = s.Inventory
	return owner, nil
}

// ReadApplication reads a file's one Application, and gives it also as it is
// written there.
func ReadApplication(o RenderOptions) (*api.Application, map[string]any, error) {
	application, err := o.readApplication()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	raw, err := json.Marshal(application)
	if err != nil {
		return nil, nil, err
	}
	var document map[string]any
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, nil, err
	}
	return application, document, nil
}

// LiveApplication is an Application of the cluster; nil where there is none.
func LiveApplication(ctx context.Context, clients *kube.Clients, namespace, name string) (*api.Application, error) {
	u, err := clients.Dynamic.Resource(ApplicationResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Application %s/%s of the cluster: %w", namespace, name, err)
	}
	return asApplication(u)
}

func asApplication(u *unstructured.Unstructured) (*api.Application, error) {
	application := &api.Application{}
	raw, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(raw, application)
	}
	if err != nil {
		return nil, fmt.Errorf("read Application %s/%s of the cluster: %w", u.GetNamespace(), u.GetName(), err)
	}
	return application, nil
}
