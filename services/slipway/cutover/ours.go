package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/api"
)

// successor is one of ours that take theirs' place.
type successor struct {
	object
	diff        synchronizer.DiffOptions
	application *api.Application
	document    map[string]any             // as it stands in the file
	live        *unstructured.Unstructured // nil: not there yet
}

// successor reads one of ours from its file, and finds it in the cluster.
func (c *cut) successor(ctx context.Context, file string) (err error) {
	o := &successor{diff: c.Diff}
	o.diff.Application = file
	if o.application, o.document, err = synchronizer.ReadApplication(o.diff.RenderOptions); err != nil {
		return err
	}
	m := o.application.Metadata
	if o.object, err = c.object(schema.GroupVersionKind{Group: api.Group, Version: api.Version, Kind: api.ApplicationKind}, m.Namespace, m.Name); err != nil {
		return fmt.Errorf("%w (slipway bootstrap installs it)", err)
	}
	if slices.ContainsFunc(c.ours, func(other *successor) bool { return other.String() == o.String() }) {
		return fmt.Errorf("%s: another of the files has %s, too", file, o)
	}
	if o.live, err = o.get(ctx); err != nil {
		return err
	}
	c.ours = append(c.ours, o)
	return nil
}

// pending says that a cut-over to it began, and didn't end.
func (o *successor) pending() bool {
	return o.live != nil && o.live.GetAnnotations()[api.SuspendAnnotation] == reason
}

// held are those of ours that aren't at their end: where theirs is gone, one that a
// cut-over doesn't hold has been resumed.
func (c *cut) held() []*successor {
	if c.theirs != nil {
		return c.ours
	}
	return slices.DeleteFunc(slices.Clone(c.ours), func(o *successor) bool { return !o.pending() })
}

// named are all of ours, for people.
func (c *cut) named() string {
	names := make([]string, 0, len(c.ours))
	for _, o := range c.ours {
		names = append(names, o.String())
	}
	return strings.Join(names, ", ")
}

// apply applies ours, suspended.
func (c *cut) apply(ctx context.Context) error {
	for _, o := range c.held() {
		if o.pending() {
			c.Say(o.String() + " is there, suspended")
			continue
		}
		if err := c.do("apply "+o.String()+", suspended", func() error { return o.send(ctx, true) }); err != nil {
			return err
		}
	}
	return nil
}

// send applies our Application as the root Application would, so that nobody
// but the synchronizer owns its fields in the end.
func (o *successor) send(ctx context.Context, suspended bool) error {
	u := (&unstructured.Unstructured{Object: o.document}).DeepCopy()
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if suspended {
		annotations[api.SuspendAnnotation] = reason
	}
	if o.live != nil {
		if owner, ok := o.live.GetAnnotations()["slipway.dev/owner"]; ok {
			annotations["slipway.dev/owner"] = owner
		}
	}
	if len(annotations) > 0 {
		u.SetAnnotations(annotations)
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	force := true
	if _, err = o.at.Patch(ctx, o.name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: manager, Force: &force}); err != nil {
		return fmt.Errorf("apply %s: %w", o, err)
	}
	return nil
}
