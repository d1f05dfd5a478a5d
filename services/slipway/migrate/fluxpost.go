package migrate

import (
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// postRenderers writes by what Flux has kustomize change what a chart gives. There one
// comes behind the other, here they are one: their patches in their order, and then
// their images.
func postRenderers(s *source, out tree) {
	v := s.at("spec", "postRenderers")
	var patches []any
	var images renames
	for _, renderer := range v.items() {
		k := renderer.at("kustomize")
		more := patchesOf(k)
		if len(images.list) > 0 && slices.ContainsFunc(more, setsImage) {
			renderer.note(Different, "its patches come before the images of those before it", "look at what `slipway diff` shows: an image that they set may be set again")
		}
		patches = append(patches, more...)
		for _, image := range k.at("images").items() {
			one := tree{}
			for _, field := range []string{"name", "newName", "newTag", "digest"} {
				set(one, image.at(field).text(), field)
			}
			if !images.add(one) {
				image.note(Different, "another of that name stands before it, with renames between them", "look at what `slipway diff` shows")
			}
		}
	}
	k := tree{}
	set(k, patches, "patches")
	set(k, images.list, "images")
	if set(out, k, "source", "kustomize"); len(k) > 0 {
		v.note(Different, "the chart's hooks go through it, too; Flux leaves them out with Helm 3", "look at what `slipway diff` shows, and name in a target what is meant")
	}
}

// patchesOf are the patches of one, in the order in which kustomize makes them.
func patchesOf(k value) (patches []any) {
	for _, object := range k.at("patchesStrategicMerge").items() {
		if text := textOf(object); text != "" {
			patches = append(patches, tree{"patch": text})
		}
	}
	for _, list := range []string{"patches", "patchesJson6902"} {
		for _, p := range k.at(list).items() {
			one := tree{}
			set(one, textOf(p.at("patch")), "patch")
			set(one, p.at("target").tree(), "target")
			set(one, p.at("options").tree(), "options")
			patches = append(patches, one)
		}
	}
	return patches
}

// textOf is a patch as a text, as which it may be written already.
func textOf(v value) string {
	t := v.tree()
	if text, is := t.(string); is || t == nil {
		return text
	}
	data, err := yaml.Marshal(t)
	if err != nil {
		v.note(Wrong, "can't be written: "+err.Error(), "mend it there first")
	}
	return string(data)
}

// setsImage says whether a patch may set an image.
func setsImage(patch any) bool {
	text, _ := patch.(tree)["patch"].(string)
	return strings.Contains(text, "image")
}

// renames are entries of images, each of which changes what those before it made. A
// name stands among ours once.
type renames struct{ list []any }

// add puts one behind the others, into that of its name if there is one. It says
// whether that comes to the same.
func (r *renames) add(image tree) bool {
	i := slices.IndexFunc(r.list, func(e any) bool { return e.(tree)["name"] == image["name"] }) //nolint:forcetypeassert // ours
	if i < 0 {
		r.list = append(r.list, image)
		return true
	}
	same := !slices.ContainsFunc(r.list[i+1:], func(e any) bool {
		between := e.(tree) //nolint:forcetypeassert // ours
		return between["newName"] == image["name"] || between["name"] == image["newName"]
	})
	before := r.list[i].(tree) //nolint:forcetypeassert // ours
	if to := before["newName"]; to != nil && to != before["name"] {
		return same // none of that name is left
	}
	if image["newTag"] == nil && image["digest"] == nil {
		set(image, before["newTag"], "newTag")
		set(image, before["digest"], "digest")
	}
	r.list[i] = image
	return same
}
