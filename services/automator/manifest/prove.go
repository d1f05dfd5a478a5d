package manifest

import (
	"fmt"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/render"
)

// Prove compares two renders of an application: the images that were to
// change are what they should be, and nothing else changed.
func Prove(before, after []render.Object, images []events.Image, aliases events.Aliases) error {
	if len(before) != len(after) {
		return fmt.Errorf("%w: the edit would change the number of objects from %d to %d", ErrUnsafe, len(before), len(after))
	}
	for i := range before {
		if before[i].ID != after[i].ID {
			return fmt.Errorf("%w: the edit would replace %s by %s", ErrUnsafe, before[i].ID, after[i].ID)
		}
		d := differ{images, aliases}
		if where := d.first(before[i].Map, after[i].Map, ""); where != "" {
			return fmt.Errorf("%w: the edit would change %s at %s", ErrUnsafe, before[i].ID, where)
		}
	}
	for _, r := range Images(after, aliases) {
		target, wanted := targetOf(r.Image.Repository, images)
		if wanted && (r.Image.Tag != target.Tag || r.Image.Digest != target.Digest) {
			return fmt.Errorf("%w: %s would stay at %s", ErrUnsafe, r.Name, r.Image.Reference())
		}
	}
	return nil
}

type differ struct {
	images  []events.Image
	aliases events.Aliases
}

// first is the path of the first difference that is none of the images;
// empty when there is none.
func (d differ) first(a, b any, path string) string {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(a) != len(m) {
			return path + "."
		}
		for _, k := range sortedKeys(a) {
			other, there := m[k]
			if !there {
				return path + "." + k
			}
			if where := d.first(a[k], other, path+"."+k); where != "" {
				return where
			}
		}
		return ""
	case []any:
		l, ok := b.([]any)
		if !ok || len(a) != len(l) {
			return path + "[]"
		}
		for i := range a {
			if where := d.first(a[i], l[i], fmt.Sprintf("%s[%d]", path, i)); where != "" {
				return where
			}
		}
		return ""
	default:
		if a == b || d.wanted(a, b) {
			return ""
		}
		return path
	}
}

// wanted says whether a string became the image that it should.
func (d differ) wanted(a, b any) bool {
	was, ok := a.(string)
	now, ok2 := b.(string)
	if !ok || !ok2 {
		return false
	}
	from, err := events.ParseImage(was, d.aliases)
	if err != nil {
		return false
	}
	to, err := events.ParseImage(now, d.aliases)
	target, known := targetOf(from.Repository, d.images)
	return err == nil && known && to == target
}
