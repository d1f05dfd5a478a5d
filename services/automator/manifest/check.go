package manifest

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// prove reads the new bytes of a document and holds that the references that
// were meant to change say what they should, that there are as many as
// before, and that nothing else changed.
func (e editor) prove(before *finder, out chunk) error {
	t, err := parse(e.name, out)
	if err != nil {
		return fmt.Errorf("%w: after the edit %w", ErrUnsafe, err)
	}
	after := e.find(t)
	return e.compare(before, after)
}

func (e editor) compare(before, after *finder) error {
	t := after.t
	more := fmt.Errorf("%s:%d: %w: the edit would change more than references", e.name, t.first, ErrUnsafe)
	if len(before.found) != len(after.found) || len(before.t.docs) != len(t.docs) || len(before.nested) != len(after.nested) {
		return more
	}
	mask := map[*yaml.Node]bool{}
	for i, r := range after.found {
		was := before.found[i]
		if target, wanted := e.target(was); wanted && !r.is(target) {
			return fmt.Errorf("%s:%d: %w: after the edit it would be %s", e.name, r.Line, ErrUnsafe, r.Image)
		} else if r.Image.Repository != was.Image.Repository || (!wanted && r.Image != was.Image) {
			return more
		}
		for _, n := range append(r.masked(), was.masked()...) {
			mask[n] = true
		}
		for _, n := range r.nodes() {
			if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str" {
				return r.in.unsafe(n, "after the edit it would not be a string")
			}
		}
	}
	pairs := [][2][]*yaml.Node{{before.t.docs, t.docs}}
	for i, n := range after.nested {
		was := before.nested[i]
		mask[n.host.node], mask[was.host.node] = true, true
		if len(n.docs) != len(was.docs) {
			return more
		}
		pairs = append(pairs, [2][]*yaml.Node{was.docs, n.docs})
	}
	c := comparer{mask: mask, also: e.becameTarget}
	for _, p := range pairs {
		for i := range p[0] {
			if !c.same(p[0][i], p[1][i]) {
				return more
			}
		}
	}
	return nil
}

// masked are the nodes that may differ: the scalars of the reference, and an
// entry, which fields come to and go from.
func (r Reference) masked() []*yaml.Node {
	all := r.nodes()
	if r.group != nil && r.group.owner != nil {
		all = append(all, r.group.owner)
	}
	return all
}

// becameTarget says whether a scalar was an image and is its target: what a
// reference shares by an anchor changes with it.
func (e editor) becameTarget(a, b *yaml.Node) bool {
	was, err := events.ParseImage(a.Value, e.aliases)
	now, err2 := events.ParseImage(b.Value, e.aliases)
	target, wanted := targetOf(was.Repository, e.images)
	return err == nil && err2 == nil && wanted && now == target
}

// comparer compares trees. Masked scalars may differ; of a masked mapping the
// keys that are part of the reference may.
type comparer struct {
	mask map[*yaml.Node]bool
	also func(a, b *yaml.Node) bool
}

func (c comparer) same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Anchor != b.Anchor {
		return false
	}
	if c.mask[a] && c.mask[b] {
		return a.Kind == yaml.ScalarNode || (a.Kind == yaml.MappingNode && slices.EqualFunc(rest(a, "newTag", "digest"), rest(b, "newTag", "digest"), c.same))
	}
	if a.Value != b.Value && c.also != nil && a.Kind == yaml.ScalarNode && c.also(a, b) {
		return true
	}
	return a.Tag == b.Tag && a.Value == b.Value && slices.EqualFunc(a.Content, b.Content, c.same)
}

// rest is a mapping's content without some keys.
func rest(m *yaml.Node, without ...string) (kept []*yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !slices.Contains(without, m.Content[i].Value) {
			kept = append(kept, m.Content[i], m.Content[i+1])
		}
	}
	return kept
}
