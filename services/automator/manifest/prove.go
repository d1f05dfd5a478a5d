package manifest

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/render"
)

// Prove compares two renders of an application: the images that were to
// change are what they should be, and nothing else changed, but for what is
// another at each render.
func Prove(before, after []render.Object, images []events.Image, aliases events.Aliases) error {
	if len(before) != len(after) {
		return fmt.Errorf("%w: the edit would change the number of objects from %d to %d", ErrUnsafe, len(before), len(after))
	}
	e := editor{images: images, aliases: aliases, policies: newPolicies()}
	for _, o := range before {
		e.gather(o.Raw)
	}
	for i, was := range before {
		now := after[i]
		if was.ID != now.ID {
			return fmt.Errorf("%w: the edit would replace %s by %s", ErrUnsafe, was.ID, now.ID)
		}
		if was.Varies && now.Varies {
			continue // its chart makes it up anew each time: only its images are looked at
		}
		if !bytes.Equal(was.Raw, now.Raw) {
			if err := e.object(was, now); err != nil {
				return fmt.Errorf("%s: %w", was.ID, err)
			}
		}
	}
	for _, o := range after {
		if !mayHold(o.Raw, images) {
			continue
		}
		for _, r := range e.rendered(o) {
			if target, wanted := e.target(r); wanted && !r.is(target) {
				return fmt.Errorf("%w: %s in %s would stay at %s", ErrUnsafe, r.name, o.ID, r.Image.Reference())
			}
		}
	}
	return nil
}

// object holds that two renders of an object differ in the images alone.
func (e editor) object(was, now render.Object) error {
	e.name = where(was.File)
	var found [2]*finder
	for i, o := range []render.Object{was, now} {
		t, err := parse(e.name, chunk{o.Raw, max(o.Line, 1)})
		if err == nil {
			err = t.expand()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
		found[i] = e.find(t)
	}
	return e.compare(found[0], found[1])
}

// maxNodes bounds what aliases may blow a document up to.
const maxNodes = 1 << 20

// expand puts a copy in place of every alias, so that what shares an anchor
// with a reference is seen to change.
func (t *text) expand() error {
	left := maxNodes
	for i := range t.docs {
		if t.docs[i] = expanded(t.docs[i], &left, 0); left < 0 {
			return fmt.Errorf("%s: its aliases stand for too much", t.name)
		}
	}
	return nil
}

func expanded(n *yaml.Node, left *int, depth int) *yaml.Node {
	n = follow(n)
	if *left--; *left < 0 || depth > 20_000 {
		*left = -1
		return n
	}
	now := *n
	now.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		now.Content[i] = expanded(c, left, depth+1)
	}
	return &now
}
