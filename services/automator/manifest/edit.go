package manifest

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// Edit sets every reference of a file to one of the images' repositories to
// that image. It gives the new bytes, or the old ones when nothing changes,
// and the references that changed, as they were. An error says which
// references can't be edited safely, each with its line; the file is then
// left as it is.
func Edit(name string, data []byte, images []events.Image, aliases events.Aliases) ([]byte, []Reference, error) {
	e := editor{name: name, images: images, aliases: aliases, policies: newPolicies()}
	e.gather(data)
	return e.edit(data)
}

// editor edits one file.
type editor struct {
	name     string
	images   []events.Image
	aliases  events.Aliases
	policies *policies
}

// gather learns what the file tells of Flux's policies.
func (e editor) gather(data []byte) {
	if !bytes.Contains(data, markerKey) && !bytes.Contains(data, []byte("image.toolkit.fluxcd.io")) {
		return
	}
	for _, c := range split(data) {
		if t, err := parse(e.name, c); err == nil {
			e.find(t)
		}
	}
}

func (e editor) find(t *text) *finder {
	f := newFinder(t, e.aliases, e.policies)
	f.documents()
	return f
}

func (e editor) edit(data []byte) ([]byte, []Reference, error) {
	var out []byte
	var changed []Reference
	var problems []error
	for _, c := range split(data) {
		now, refs, err := e.chunk(c)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		out, changed = append(out, now...), append(changed, refs...)
	}
	if err := errors.Join(problems...); err != nil || len(changed) == 0 {
		return data, nil, err
	}
	return out, changed, nil
}

func (e editor) chunk(c chunk) ([]byte, []Reference, error) {
	if !mayHold(c.data, e.images) {
		return c.data, nil, nil
	}
	t, err := parse(e.name, c)
	if err != nil {
		return c.data, nil, e.mentioned(string(c.data), c.line, err.Error())
	}
	f := e.find(t)
	var problems []error
	for _, u := range f.unread {
		problems = append(problems, e.mentioned(u.text, u.line, u.why))
	}
	edits, changed, err := e.splices(f)
	if err := errors.Join(append(problems, err)...); err != nil || len(changed) == 0 {
		return c.data, nil, err
	}
	out, err := t.apply(edits)
	if err == nil {
		err = e.prove(f, chunk{out, c.line})
	}
	if err != nil {
		return c.data, nil, err
	}
	return out, changed, nil
}

// mentioned is the fault of a text that can't be read: nil where it doesn't
// name one of the images.
func (e editor) mentioned(text string, first int, why string) error {
	for _, i := range e.images {
		if line, found := mention(text, i, e.aliases); found {
			return fmt.Errorf("%s:%d: %w: %s is named here, but %s", e.name, first+line, ErrUnsafe, i.Repository, why)
		}
	}
	return nil
}

func (e editor) target(r Reference) (events.Image, bool) {
	return targetOf(r.Image.Repository, e.images)
}

func targetOf(repo events.ImageRepository, images []events.Image) (events.Image, bool) {
	for _, i := range images {
		if i.Repository == repo {
			return i, true
		}
	}
	return events.Image{}, false
}

// splices gives the edits of a document, and the references that they change.
func (e editor) splices(f *finder) (edits []splice, changed []Reference, err error) {
	// A scalar that two references share by an anchor must say the same for
	// both.
	claims := map[*yaml.Node]string{}
	for _, r := range f.found {
		if target, wanted := e.target(r); !wanted || r.is(target) {
			for _, n := range r.nodes() {
				claims[n] = scalarText(n)
			}
		}
	}
	var problems []error
	for _, r := range f.found {
		target, wanted := e.target(r)
		if !wanted || r.is(target) {
			continue
		}
		s, err := r.edit(target, claims)
		if err != nil {
			problems = append(problems, fmt.Errorf("%w (%s)", err, r.Image.Repository))
			continue
		}
		edits = append(edits, r.in.lift(s)...)
		changed = append(changed, r)
	}
	return edits, changed, errors.Join(problems...)
}

// is says whether the reference shows the image already, as far as it can.
func (r Reference) is(target events.Image) bool {
	tag, digest := r.Image.Tag == target.Tag, r.Image.Digest == target.Digest
	if g := r.group; g != nil && tag && !isEmpty(g.tag.value) && !readAsString(g.tag.value) {
		tag = false // 1.10 without quotes is 1.1 to those who read it
	}
	if g := r.group; g != nil && r.refused == "" && g.kind != entry {
		switch {
		case g.tag.value == nil:
			return digest
		case g.kind == lone:
			return tag
		}
	}
	return tag && digest
}

// nodes are the scalars that an edit of the reference may change.
func (r Reference) nodes() []*yaml.Node {
	if r.scalar != nil {
		return []*yaml.Node{r.scalar}
	}
	var all []*yaml.Node
	for _, n := range []*yaml.Node{r.group.tag.value, r.group.digest.value} {
		if n != nil {
			all = append(all, n)
		}
	}
	return all
}

// write is one scalar that is to say something else.
type write struct {
	field
	name string // of the key, where it may have to be added
	to   string
	// alone says that the tag's field goes.
	alone bool
}

// edit gives the edits of a reference, in the text that it is in.
func (r Reference) edit(target events.Image, claims map[*yaml.Node]string) ([]splice, error) {
	at := r.scalar
	if r.group != nil {
		at = r.group.at()
	}
	if r.refused != "" {
		return nil, r.in.unsafe(at, r.refused)
	}
	writes, err := r.writes(target)
	if err != nil {
		return nil, err
	}
	var edits []splice
	for _, w := range writes {
		if w.value != nil {
			if claimed, twice := claims[w.value]; twice {
				if claimed != w.to {
					return nil, r.in.unsafe(w.value, "another reference shares it by an anchor, and would change too")
				}
				continue
			}
			claims[w.value] = w.to
		}
		var s []splice
		switch {
		case r.scalar != nil:
			s, err = r.in.setWhole(w.value, w.to)
		case r.group.kind == entry:
			s, err = r.in.setField(r.group, w)
		default:
			s, err = r.in.setScalar(w.key, w.value, w.to)
		}
		if err != nil {
			return nil, err
		}
		edits = append(edits, s...)
	}
	return edits, nil
}

// at is the node that stands for a group in messages.
func (g *group) at() *yaml.Node {
	for _, n := range []*yaml.Node{g.tag.value, g.digest.value, g.owner} {
		if n != nil {
			return n
		}
	}
	return g.repo
}

// writes says what each scalar of the reference is to be. A digest without a
// field of its own goes behind the tag, as charts that know no digest take it
// too: they write the tag behind the repository and a colon.
func (r Reference) writes(target events.Image) ([]write, error) {
	if r.scalar != nil {
		prefix, was := unnamed(r.scalar.Value)
		to := prefix + repositoryOf(was)
		if target.Tag != "" {
			to += ":" + target.Tag
		}
		if target.Digest != "" {
			to += "@" + target.Digest
		}
		return []write{{field: field{value: r.scalar}, to: to}}, nil
	}
	g := r.group
	tag, digest := write{g.tag, "newTag", target.Tag, false}, write{g.digest, "digest", target.Digest, target.Tag == ""}
	joined := g.digest.value == nil || (g.kind == helmGroup && scalarText(g.digest.value) == "" && len(scalarText(g.tag.value)) > len(r.Image.Tag))
	switch {
	case g.kind == entry:
		return []write{tag, digest}, nil
	case g.byDigest && g.digest.value != nil && target.Digest == "":
		return nil, r.in.unsafe(g.digest.value, "useDigest says that its digest counts, and no digest is given")
	case g.tag.value == nil && target.Digest == "":
		return nil, r.in.unsafe(g.digest.value, "it has a digest and no tag, and no digest is given")
	case g.tag.value == nil:
		return []write{digest}, nil
	case joined && target.Tag == "":
		return nil, r.in.unsafe(g.tag.value, "a digest alone has no place here: give a tag, too")
	case g.kind == lone:
		return []write{tag}, nil
	case joined:
		tag.to = target.Reference()
		return []write{tag}, nil
	}
	return []write{tag, digest}, nil
}

// setWhole replaces what follows the repository in a whole reference.
func (t *text) setWhole(n *yaml.Node, to string) ([]splice, error) {
	at, err := t.content(n)
	if err != nil {
		return nil, err
	}
	if n.Style == 0 && !plainSafe(to) {
		return nil, t.unsafe(n, "the new reference would need quotes")
	}
	return []splice{{at, to}}, nil
}
