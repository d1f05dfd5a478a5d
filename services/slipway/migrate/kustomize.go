package migrate

import (
	"encoding/json"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// overlay is what both tools set beside a kustomization under the names that kustomize
// itself has, as we do.
func overlay(v value) tree {
	k := tree{}
	for _, field := range []string{"patches", "components"} {
		set(k, v.at(field).tree(), field)
	}
	v.flag("ignoreMissingComponents", k, "ignoreMissingComponents")
	for _, field := range []string{"namePrefix", "nameSuffix"} {
		set(k, v.at(field).text(), field)
	}
	return k
}

// added is what an Application that is written adds to its kustomization; nil for nothing,
// and for what can't be read, which the other tool refuses, too.
func added(out tree) *api.KustomizeSource {
	source, _ := out["source"].(tree)
	data, err := json.Marshal(source["kustomize"])
	var k *api.KustomizeSource
	if err != nil || json.Unmarshal(data, &k) != nil {
		return nil
	}
	return k
}

// kustomize writes what an Application of Argo CD sets beside the kustomization.
func (a *argo) kustomize(v value, out tree) {
	if !v.there() {
		return
	}
	k := overlay(v)
	set(k, v.at("namespace").text(), "namespace")
	set(k, imagesOf(v.at("images")), "images")
	set(k, replicasOf(v.at("replicas")), "replicas")
	labelsOf(v, k)
	set(k, v.at("commonAnnotations").texts(), "commonAnnotations")
	v.at("forceCommonAnnotations").take() // ours come in the place of the kustomization's own
	if envsubst := v.at("commonAnnotationsEnvsubst"); envsubst.is(false) {
		envsubst.note(Missing, "variables of Argo CD's build don't exist here", "write what they stand for into spec.source.kustomize.commonAnnotations")
	}
	set(out, k, "source", "kustomize")
}

// imagesOf reads images as `kustomize edit set image` writes them: [name=]to[:tag][@digest].
func imagesOf(v value) (images []any) {
	for _, i := range v.list() {
		image := tree{}
		name, to, renamed := strings.Cut(i, "=")
		if !renamed {
			to = name
		}
		to, digest, _ := strings.Cut(to, "@")
		if at := strings.LastIndexByte(to, ':'); at > strings.LastIndexByte(to, '/') {
			set(image, to[at+1:], "newTag")
			to = to[:at]
		}
		set(image, digest, "digest")
		if !renamed {
			name = to
		} else {
			set(image, to, "newName")
		}
		image["name"] = name
		images = append(images, image)
	}
	return images
}

// replicasOf reads replicas, whose count may be a text.
func replicasOf(v value) (replicas []any) {
	for _, r := range v.items() {
		name, count := r.at("name").text(), r.at("count")
		n, err := strconv.ParseInt(count.text(), 10, 64)
		if err != nil {
			count.note(Wrong, "is no number", "mend it there first")
			continue
		}
		replicas = append(replicas, tree{"name": name, "count": n})
	}
	return replicas
}

// labelsOf writes the common labels, which are put into selectors unless told otherwise.
func labelsOf(v value, k tree) {
	labels := v.at("commonLabels").texts()
	without, templates := v.at("labelWithoutSelector").is(false), v.at("labelIncludeTemplates").is(false)
	v.at("forceCommonLabels").take() // as with annotations
	if !without || len(labels) == 0 {
		set(k, labels, "commonLabels")
		return
	}
	one := tree{"pairs": labels}
	if templates {
		one["includeTemplates"] = true
	}
	k["labels"] = []any{one}
}

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomized says whether a folder has a kustomization.
func kustomized(fsys fs.FS, dir string) bool {
	return kustomizationOf(fsys, dir) != ""
}

// kustomizationOf is the name of a folder's kustomization; empty where it has none.
func kustomizationOf(fsys fs.FS, dir string) string {
	for _, name := range kustomizationNames {
		if exists(fsys, path.Join(dir, name)) {
			return name
		}
	}
	return ""
}
