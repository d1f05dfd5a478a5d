// Package cutover hands an application of another tool over to ours, so that no
// object is made anew. Every step may be done twice: after a crash the same
// command goes on.
package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// ErrRefused says that going on might change or lose something.
var ErrRefused = errors.New("the cut-over stops")

// reason suspends our Application while the other tool's is there.
const reason = "it is being cut over (slipway migrate)"

// Options say what is cut over.
type Options struct {
	Tool Tool
	// Kind is the kind of the other tool's application; empty: whichever is there.
	Kind            string
	Namespace, Name string
	// Files have our Applications: one, or each of those that share what theirs
	// was.
	Files []string
	// Diff is how ours are tried; it names no file.
	Diff synchronizer.DiffOptions
	// AllowDiff goes on though something would change.
	AllowDiff bool
	// Plan tells the steps and does none.
	Plan bool
	// Say is told each step; Show each change.
	Say  func(string)
	Show func(synchronizer.Change)
}

// cut is one cut-over.
type cut struct {
	Options
	clients *kube.Clients

	their  object
	theirs *unstructured.Unstructured // nil: gone
	ours   []*successor
}

// Run cuts one application over.
func Run(ctx context.Context, clients *kube.Clients, o Options) error {
	c := &cut{Options: o, clients: clients}
	if err := c.find(ctx); err != nil {
		return err
	}
	if c.theirs == nil && !slices.ContainsFunc(c.ours, (*successor).pending) {
		c.Say(fmt.Sprintf("%s is gone, and %s is there and not held by a cut-over: there is nothing to do", c.their, c.named()))
		return nil
	}
	for _, step := range []func(context.Context) error{c.guard, c.suspend, c.apply, c.compare} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find finds theirs and ours.
func (c *cut) find(ctx context.Context) error {
	for _, file := range c.Files {
		if err := c.successor(ctx, file); err != nil {
			return err
		}
	}
	known := false
	for _, kind := range c.Tool.kinds {
		if c.Kind != "" && !strings.EqualFold(c.Kind, kind.Kind) {
			continue
		}
		their, err := c.object(kind, c.Namespace, c.Name)
		if _, unknown := errors.AsType[*kube.UnknownKindError](err); unknown {
			continue
		}
		if err != nil {
			return err
		}
		if !known {
			c.their, known = their, true
		}
		if c.theirs, err = their.get(ctx); err != nil {
			return err
		}
		if c.theirs != nil {
			c.their = their
			break
		}
	}
	if !known {
		return fmt.Errorf("the cluster has none of the kinds of %s: is this the right cluster?", c.Tool.Name)
	}
	for _, o := range c.ours {
		if c.theirs == nil && o.live == nil {
			return fmt.Errorf("the cluster has no %s, and no %s: name an application of %s as NAMESPACE/NAME", c.their, o, c.Tool.Name)
		}
	}
	return nil
}

// suspend has the other tool leave the application alone.
func (c *cut) suspend(ctx context.Context) error {
	if c.theirs == nil {
		return nil
	}
	if c.Tool.images != nil {
		images, err := c.Tool.images(ctx, c)
		if err != nil {
			return err
		}
		for _, o := range images {
			live, err := o.get(ctx)
			if err != nil {
				return err
			}
			if live == nil || fluxSuspended(live) {
				continue
			}
			if err := c.do("suspend "+o.String()+", which writes images of this application, and perhaps of others", func() error { return o.merge(ctx, patch{"spec": patch{"suspend": true}}) }); err != nil {
				return err
			}
		}
	}
	if c.Tool.suspended(c.theirs) {
		c.Say(c.their.String() + " is suspended")
		return nil
	}
	return c.do("suspend "+c.their.String(), func() error {
		p, err := c.Tool.suspend(c.theirs)
		if err != nil {
			return err
		}
		return c.their.merge(ctx, p)
	})
}

// do does a step, unless this is a plan.
func (c *cut) do(what string, act func() error) error {
	if c.Plan {
		c.Say("would " + what)
		return nil
	}
	c.Say(what)
	return act()
}

// compare goes on only where nothing would change.
func (c *cut) compare(ctx context.Context) error {
	var changes []synchronizer.Change
	for _, o := range c.held() {
		diff := o.diff
		diff.Marks = c.Tool.marks
		found, err := synchronizer.Diff(ctx, c.clients, diff)
		if err != nil {
			return err
		}
		changes = append(changes, found...)
	}
	different, failed := 0, 0
	for _, change := range changes {
		switch {
		case change.Action == synchronizer.ChangeFailed:
			failed++
			c.Show(change)
		case change.Differs():
			different++
			c.Show(change)
		}
	}
	left := c.left(changes)
	for _, e := range left {
		c.Say(fmt.Sprintf("%s has applied %s %s/%s, which is not in Git: nobody would own it", c.Tool.Name, e.Kind, e.Namespace, e.Name))
	}
	switch {
	case failed > 0 && c.theirs != nil:
		return fmt.Errorf("%w: %d of %d objects can't be compared", ErrRefused, failed, len(changes))
	case different+len(left) > 0 && c.theirs != nil && !c.AllowDiff:
		return fmt.Errorf("%w: %d objects would change, and %d are not in Git: put that right in Git, or go on with --allow-diff", ErrRefused, different, len(left))
	}
	c.Say(fmt.Sprintf("%d objects compared, %d would change", len(changes), different))
	return c.take(ctx, changes)
}

// left is what theirs has applied and ours doesn't have.
func (c *cut) left(changes []synchronizer.Change) []api.InventoryEntry {
	if c.theirs == nil {
		return nil
	}
	var left []api.InventoryEntry
	for _, e := range c.Tool.inventory(c.theirs) {
		if !slices.ContainsFunc(changes, func(change synchronizer.Change) bool {
			return change.Group == e.Group && change.Kind == e.Kind && change.Namespace == e.Namespace && change.Name == e.Name
		}) {
			left = append(left, e)
		}
	}
	return left
}

// take adopts the fields, takes theirs away, and lets ours go on.
func (c *cut) take(ctx context.Context, changes []synchronizer.Change) error {
	uids, err := c.adopt(ctx, changes)
	if err != nil {
		return err
	}
	if err := c.remove(ctx); err != nil {
		return err
	}
	for o, uid := range uids {
		if live, err := o.get(ctx); err != nil {
			return err
		} else if live == nil || live.GetUID() != uid {
			return fmt.Errorf("%s was deleted or made anew by somebody while it was cut over: %s stays suspended", o, c.named())
		}
	}
	for _, o := range c.held() {
		if err := c.do("resume "+o.String(), func() error { return o.send(ctx, false) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *cut) adopt(ctx context.Context, changes []synchronizer.Change) (map[object]types.UID, error) {
	uids := map[object]types.UID{}
	err := c.do(fmt.Sprintf("own the fields of %d objects that %s owned", len(changes), strings.Join(c.Tool.managers, ", ")), func() error {
		for _, change := range changes {
			o, err := c.object(schema.GroupVersionKind{Group: change.Group, Version: change.Version, Kind: change.Kind}, change.Namespace, change.Name)
			if _, unknown := errors.AsType[*kube.UnknownKindError](err); unknown {
				continue // its definition comes with it
			}
			if err != nil {
				return err
			}
			live, err := o.get(ctx)
			if err != nil {
				return err
			}
			if live == nil {
				continue
			}
			uids[o] = live.GetUID()
			if _, err := adopt(ctx, o, c.Tool.managers); err != nil {
				return fmt.Errorf("own the fields of %s: %w", o, err)
			}
		}
		return nil
	})
	return uids, err
}

// remove deletes theirs in such a way that nothing goes with it.
func (c *cut) remove(ctx context.Context) error {
	if c.theirs == nil {
		return nil
	}
	if err := c.do("switch off prune and finalizer of "+c.their.String(), func() error { return c.disarm(ctx) }); err != nil {
		return err
	}
	return c.do("delete "+c.their.String(), func() error {
		uid := c.theirs.GetUID()
		orphan := metav1.DeletePropagationOrphan
		err := c.their.at.Delete(ctx, c.their.name, metav1.DeleteOptions{PropagationPolicy: &orphan, Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", c.their, err)
		}
		return c.awaitGone(ctx)
	})
}

func (c *cut) disarm(ctx context.Context) error {
	live, err := c.their.get(ctx)
	if err != nil || live == nil {
		return err
	}
	if !c.Tool.suspended(live) {
		return fmt.Errorf("%w: %s is no longer suspended: somebody brings it back, such as a parent that is applied from Git", ErrRefused, c.their)
	}
	if p := c.Tool.harmless(live); len(p) > 0 {
		return c.their.merge(ctx, p)
	}
	return nil
}

// goneWithin bounds the wait for theirs to go.
const goneWithin = 30 * time.Second

// awaitGone waits until theirs is gone. A controller may have written its
// finalizer again, and takes it off by itself where it runs.
func (c *cut) awaitGone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		live, err := c.their.get(ctx)
		if err == nil && (live == nil || live.GetUID() != c.theirs.GetUID()) {
			return nil
		}
		if err == nil {
			err = c.disarm(ctx)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not gone after %s: its finalizers are %v", c.their, goneWithin, live.GetFinalizers())
		case <-time.After(pause):
		}
	}
}
