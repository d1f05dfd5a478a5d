package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// Edit sets every reference of a file to one of the images' repositories to
// that image. It gives the new bytes, or the old ones when nothing changes,
// and the references that changed, as they were. An error says that a
// reference can't be edited safely; the file is then left as it is.
func Edit(name string, data []byte, images []events.Image, aliases events.Aliases) ([]byte, []Reference, error) {
	t, err := read(name, data)
	if err != nil {
		return data, nil, err
	}
	var edits []splice
	var changed []Reference
	for _, r := range t.references(aliases) {
		target, wanted := targetOf(r.Image.Repository, images)
		if !wanted || (r.Image.Tag == target.Tag && r.Image.Digest == target.Digest) {
			continue
		}
		e, err := t.edit(r, target)
		if err != nil {
			return data, nil, err
		}
		edits = append(edits, e...)
		changed = append(changed, r)
	}
	if len(edits) == 0 {
		return data, nil, nil
	}
	out := t.apply(edits)
	if err := t.prove(out, images, aliases); err != nil {
		return data, nil, err
	}
	return out, changed, nil
}

func targetOf(repo events.ImageRepository, images []events.Image) (events.Image, bool) {
	for _, i := range images {
		if i.Repository == repo {
			return i, true
		}
	}
	return events.Image{}, false
}

func (t *text) edit(r Reference, target events.Image) ([]splice, error) {
	if r.entry != nil {
		return t.editEntry(r.entry, target)
	}
	at, err := t.content(r.node)
	if err != nil {
		return nil, err
	}
	// How the repository is written stays; what follows it is replaced.
	old := string(t.data[at.start:at.end])
	name, _, _ := strings.Cut(old, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	now := name
	if target.Tag != "" {
		now += ":" + target.Tag
	}
	if target.Digest != "" {
		now += "@" + target.Digest
	}
	if r.node.Style == 0 && !plainSafe(now) {
		return nil, t.unsafe(r.node, "the new reference would need quotes")
	}
	return []splice{{at, now}}, nil
}

// prove reads the new bytes and holds that the references that were meant to
// change say what they should, that there are as many as before, and that
// nothing else changed.
func (t *text) prove(out []byte, images []events.Image, aliases events.Aliases) error {
	now, err := read(t.name, out)
	if err != nil {
		return fmt.Errorf("%s: %w: after the edit it can't be read: %w", t.name, ErrUnsafe, err)
	}
	before, after := t.references(aliases), now.references(aliases)
	if len(before) != len(after) || len(t.docs) != len(now.docs) {
		return fmt.Errorf("%s: %w: the edit would change more than references", t.name, ErrUnsafe)
	}
	mask := map[*yaml.Node]bool{}
	for i := range after {
		want := before[i].Image
		if target, ok := targetOf(want.Repository, images); ok {
			want = target
		}
		if after[i].Image != want {
			return fmt.Errorf("%s:%d: %w: after the edit it would be %s", t.name, after[i].Line, ErrUnsafe, after[i].Image)
		}
		for _, n := range []*yaml.Node{before[i].node, before[i].entry, after[i].node, after[i].entry} {
			if n != nil {
				mask[n] = true
			}
		}
	}
	for i := range t.docs {
		if !same(t.docs[i], now.docs[i], mask) {
			return fmt.Errorf("%s: %w: the edit would change more than the reference", t.name, ErrUnsafe)
		}
	}
	return nil
}

// same compares two trees; masked nodes count as equal, but for the keys of
// an images entry that are not part of the reference.
func same(a, b *yaml.Node, mask map[*yaml.Node]bool) bool {
	if mask[a] && mask[b] {
		if a.Kind == yaml.ScalarNode {
			return b.Kind == yaml.ScalarNode
		}
		return sameEntry(a, b)
	}
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i], mask) {
			return false
		}
	}
	return true
}

func sameEntry(a, b *yaml.Node) bool {
	rest := func(n *yaml.Node) string {
		var s strings.Builder
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := n.Content[i].Value; k != "newTag" && k != "digest" {
				fmt.Fprintf(&s, "%s=%s;", k, n.Content[i+1].Value)
			}
		}
		return s.String()
	}
	return rest(a) == rest(b)
}
