package cutover

import (
	"context"
	"fmt"
)

// guard refuses where somebody would bring theirs back, or go on writing its
// images.
func (c *cut) guard(ctx context.Context) error {
	if c.theirs == nil {
		return nil
	}
	if c.Tool.writers != nil {
		writers, err := c.Tool.writers(ctx, c)
		if err != nil {
			return err
		}
		if len(writers) > 0 {
			return fmt.Errorf("%w: %s writes images of %s: take the Application out of it first (slipway migrate writes the rules that do the same)", ErrRefused, writers[0], c.their)
		}
	}
	kind, namespace, name := c.Tool.parent(c.theirs)
	if name == "" {
		return nil
	}
	parent, err := c.object(kind, namespace, name)
	if err != nil {
		return err
	}
	live, err := parent.get(ctx)
	if err != nil || live == nil || c.Tool.suspended(live) {
		return err
	}
	if kind == argoSets {
		return fmt.Errorf("%w: %s is made by %s, which would bring it back, and delete what it applied: first have that let go of its Applications (kubectl delete applicationset %s -n %s --cascade=orphan), and take it out of Git",
			ErrRefused, c.their, parent, name, namespace)
	}
	return fmt.Errorf("%w: %s is applied by %s, which would bring it back: suspend that first, and take the document out of Git before it goes on", ErrRefused, c.their, parent)
}
