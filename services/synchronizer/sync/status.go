package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// statusManager writes status and finalizer. It is not [health.FieldManager],
// by which a root application applies the Application itself.
const statusManager = "slipway-status"

// finalizer lets us prune before an Application goes.
const finalizer = api.PruneFinalizer

// errOvertaken says that another replica acted on the application: who gets a
// conflict stops.
var errOvertaken = errors.New("another replica acted on the application")

// live is the newest state of an Application that we know: the informer's, or
// our own last write.
type live struct {
	object      *unstructured.Unstructured
	application *api.Application
	gone        bool // since: what was to be written went nowhere
}

func (l *live) status() *api.ApplicationStatus {
	if l.application.Status == nil {
		l.application.Status = &api.ApplicationStatus{}
	}
	return l.application.Status
}

// current gives an Application as the informer has it, or as we wrote or read it last,
// whichever is newer; where a write of ours may have gone through unseen, the API
// server is asked. It is nil when it is gone. Who writes on the ground of an old state
// gets a conflict.
func (b *Brain) current(ctx context.Context, a *app) (*live, error) {
	u := b.apps.cached(a.key)
	if u != nil && a.doubtful.Load() == nil {
		if a.last != nil && a.last.GetUID() == u.GetUID() && health.Newer(a.last.GetResourceVersion(), u.GetResourceVersion()) {
			u = a.last
		}
		return wrap(u)
	}
	return b.read(ctx, a)
}

// read gives an Application as the API server has it now; nil when it is gone.
func (b *Brain) read(ctx context.Context, a *app) (*live, error) {
	u, err := b.clients.Dynamic.Resource(Resource).Namespace(a.name.Namespace).Get(ctx, a.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Application %s: %w", a.key, err)
	}
	a.resolves(u)
	a.last = u
	return wrap(u)
}

func wrap(u *unstructured.Unstructured) (*live, error) {
	application, err := decode(u)
	if err != nil {
		return nil, err
	}
	return &live{object: u, application: application}, nil
}

// write changes the status. On a conflict it reads again and goes on only if
// nobody else began a sync meanwhile.
func (b *Brain) write(ctx context.Context, a *app, l *live, mutate func(*api.ApplicationStatus)) error {
	const tries = 5
	attempted, by := l.status().Attempted, l.status().By
	for range tries {
		mutate(l.status())
		object, err := withStatus(l.object, l.status())
		if err != nil {
			return err
		}
		written, err := b.clients.Dynamic.Resource(Resource).Namespace(a.name.Namespace).
			UpdateStatus(ctx, object, metav1.UpdateOptions{FieldManager: statusManager})
		if err == nil {
			a.last = written
			l.object = written
			a.doubtful.Store(nil)
			return nil
		}
		if apierrors.IsNotFound(err) {
			l.gone = true
			return nil // it is gone, and its status with it
		}
		if !apierrors.IsConflict(err) {
			before := l.object.GetResourceVersion()
			a.doubtful.Store(&before)
			return fmt.Errorf("write status of %s: %w", a.key, err)
		}
		fresh, err := b.clients.Dynamic.Resource(Resource).Namespace(a.name.Namespace).Get(ctx, a.name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			l.gone = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read Application %s: %w", a.key, err)
		}
		again, err := wrap(fresh)
		if err != nil {
			return err
		}
		if again.status().Attempted != attempted || again.status().By != by {
			return errOvertaken
		}
		*l = *again
	}
	return fmt.Errorf("write status of %s: it changes all the time", a.key)
}

// withStatus is an object with another status, as it is sent: who manages which field the
// API server keeps by itself, and takes from nobody who writes a status.
func withStatus(u *unstructured.Unstructured, s *api.ApplicationStatus) (*unstructured.Unstructured, error) {
	status, err := toMap(s)
	if err != nil {
		return nil, err
	}
	object := maps.Clone(u.Object)
	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		delete(metadata, "managedFields")
		object["metadata"] = metadata
	}
	object["status"] = status
	return &unstructured.Unstructured{Object: object}, nil
}

func toMap(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var u unstructured.Unstructured
	wrapped := append(append([]byte(`{"apiVersion":"v1","kind":"x","status":`), data...), '}')
	if err := u.UnmarshalJSON(wrapped); err != nil { // keeps integers
		return nil, err
	}
	m, _ := u.Object["status"].(map[string]any)
	return m, nil
}

// endsByUs has an Application that is deleted wait for us: it has something from now on.
func (b *Brain) endsByUs(ctx context.Context, a *app, l *live) error {
	before := l.object.GetFinalizers()
	if slices.Contains(before, finalizer) {
		return nil
	}
	return b.setFinalizers(ctx, a, l, append(slices.Clone(before), finalizer))
}

// setFinalizers replaces the finalizers of an Application.
func (b *Brain) setFinalizers(ctx context.Context, a *app, l *live, finalizers []string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": finalizers, "resourceVersion": l.object.GetResourceVersion(),
	}})
	if err != nil {
		return err
	}
	written, err := b.clients.Dynamic.Resource(Resource).Namespace(a.name.Namespace).
		Patch(ctx, a.name.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: statusManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set finalizers of %s: %w", a.key, err)
	}
	a.last = written
	l.object = written
	return nil
}

// The reasons of conditions.
const (
	reasonProgressing = "Progressing"
	reasonHealthy     = "Healthy"
	reasonApplied     = "Applied"
	reasonApplyFailed = "ApplyFailed"
	reasonUnhealthy   = "Unhealthy"
	reasonDegraded    = "Degraded"
	reasonPruneFailed = "PruneFailed"
	reasonSource      = "SourceUnavailable"
	reasonVariables   = "VariablesMissing"
	reasonValues      = "ValuesMissing"
	reasonDecryption  = "DecryptionKeyMissing"
	reasonRepository  = "UnknownRepository"
	reasonProject     = "ProjectForbids"
	reasonCredentials = "CredentialsMissing"
	reasonKeys        = "KeysMissing"
	reasonUntrusted   = "VerificationFailed"
	reasonAccount     = "InvalidServiceAccount"
	reasonEmpty       = "EmptyRender"
	reasonTooMany     = "TooManyDeletions"
	reasonHealth      = "InvalidHealthRule"
	reasonDeleting    = "Deleting"
)

// conditions sets the three conditions by kstatus's rules.
type conditions struct {
	ready           string // True, False, Unknown; empty leaves it
	reconciling     bool
	stalled         bool
	reason, message string
	generation      int64
	now             time.Time
}

const maxMessage = 8 << 10

// told says whether a status says already for what is waited, or why nothing goes on.
func (c conditions) told(s *api.ApplicationStatus) bool {
	for _, kind := range []string{api.ConditionReconciling, api.ConditionStalled} {
		if old := s.Condition(kind); old != nil && old.Reason == c.reason && old.Message == c.message {
			return true
		}
	}
	return false
}

func (c conditions) set(s *api.ApplicationStatus) {
	if len(c.message) > maxMessage {
		c.message = c.message[:maxMessage] + "…"
	}
	one := func(kind, status string) {
		s.SetCondition(api.Condition{
			Type: kind, Status: status, Reason: c.reason, Message: c.message,
			ObservedGeneration: c.generation, LastTransitionTime: c.now.UTC().Truncate(time.Second),
		})
	}
	if c.ready != "" {
		one(api.ConditionReady, c.ready)
	}
	for kind, on := range map[string]bool{api.ConditionReconciling: c.reconciling, api.ConditionStalled: c.stalled} {
		if on {
			one(kind, "True")
		} else {
			s.RemoveCondition(kind)
		}
	}
}
