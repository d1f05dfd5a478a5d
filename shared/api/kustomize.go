package api

import (
	"errors"
	"fmt"
	"strings"
)

// KustomizeSource are fields that the path's kustomization gets, as if they
// stood in it: what is listed comes behind what it lists, images and replicas
// in place of its own of the same name, the rest in place of its own. A path
// without a kustomization gets one with all manifests below it as resources. A
// chart is post-rendered by them: what it gives, but for its folder crds, is the one
// resource of a kustomization that has them.
// The names and meanings are those of kustomize's own fields.
type KustomizeSource struct {
	Patches []KustomizePatch `json:"patches,omitempty"`
	// Components are directories, relative to the path.
	Components []string `json:"components,omitempty"`
	// IgnoreMissingComponents goes on without those of Components that aren't there.
	IgnoreMissingComponents bool             `json:"ignoreMissingComponents,omitempty"`
	Images                  []KustomizeImage `json:"images,omitempty"`
	NamePrefix              string           `json:"namePrefix,omitempty"`
	NameSuffix              string           `json:"nameSuffix,omitempty"`
	Namespace               string           `json:"namespace,omitempty"`
	// CommonLabels are also put into selectors; Labels only where they say so.
	CommonLabels      map[string]string  `json:"commonLabels,omitempty"`
	Labels            []KustomizeLabels  `json:"labels,omitempty"`
	CommonAnnotations map[string]string  `json:"commonAnnotations,omitempty"`
	Replicas          []KustomizeReplica `json:"replicas,omitempty"`
	// LoadRestrictor is the flag of `kustomize build`: [LoadRestrictionsNone] lets a
	// kustomization name files outside of its own folder, anywhere in the repository, as
	// Flux does. Empty is [LoadRestrictionsRootOnly].
	LoadRestrictor string `json:"loadRestrictor,omitempty"`
	// Autodetect has a path without a kustomization built as by the one that `kustomize
	// create --autodetect --recursive` makes, and Flux: each folder below that has a
	// kustomization is a resource of it, as is every manifest outside of these. Folders
	// of components are left out. It is nothing to a path that has one.
	Autodetect bool `json:"autodetect,omitempty"`
}

// The values of kustomize's --load-restrictor.
const (
	LoadRestrictionsRootOnly = "LoadRestrictionsRootOnly"
	LoadRestrictionsNone     = "LoadRestrictionsNone"
)

// KustomizePatch is a strategic merge or JSON 6902 patch, in place or of a file
// relative to the path.
type KustomizePatch struct {
	Patch   string           `json:"patch,omitempty"`
	Path    string           `json:"path,omitempty"`
	Target  *KustomizeTarget `json:"target,omitempty"`
	Options map[string]bool  `json:"options,omitempty"`
}

// KustomizeTarget selects what is patched: all of what is given, names as
// regular expressions.
type KustomizeTarget struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// KustomizeImage sets the reference of the images of a name.
type KustomizeImage struct {
	Name    string `json:"name"`
	NewName string `json:"newName,omitempty"`
	NewTag  string `json:"newTag,omitempty"`
	Digest  string `json:"digest,omitempty"`
}

// KustomizeLabels are labels without selectors, unless told otherwise.
type KustomizeLabels struct {
	Pairs            map[string]string `json:"pairs"`
	IncludeSelectors bool              `json:"includeSelectors,omitempty"`
	IncludeTemplates bool              `json:"includeTemplates,omitempty"`
}

// KustomizeReplica sets the replicas of the workloads of a name.
type KustomizeReplica struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

func (k *KustomizeSource) validate(dir string) error {
	const at = "spec.source.kustomize"
	var faults []error
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(at+"."+format, args...)) }
	for i, p := range k.Patches {
		switch {
		case (p.Patch == "") == (p.Path == ""):
			wrong("patches[%d] has neither or both of patch and path: write one of them", i)
		case strings.Contains(p.Path, "://"):
			wrong("patches[%d].path is an address: commit the file to the repository and write its path", i)
		case p.Path != "":
			if err := within(dir, p.Path); err != nil {
				wrong("patches[%d].path %q %w", i, p.Path, err)
			}
		}
	}
	for i, c := range k.Components {
		if strings.Contains(c, "://") {
			wrong("components[%d] is an address: commit the component to the repository and write its path", i)
		} else if err := within(dir, c); err != nil || c == "" {
			wrong("components[%d] %q is not a directory of the repository, relative to spec.source.path", i, c)
		}
	}
	for i, image := range k.Images {
		switch {
		case image.Name == "":
			wrong("images[%d].name is empty", i)
		case image.NewName == "" && image.NewTag == "" && image.Digest == "":
			wrong("images[%d] of %s sets nothing: write newName, newTag or digest", i, image.Name)
		}
	}
	for i, r := range k.Replicas {
		if r.Name == "" || r.Count < 0 {
			wrong("replicas[%d] needs a name and a count that is not negative", i)
		}
	}
	for i, l := range k.Labels {
		if len(l.Pairs) == 0 {
			wrong("labels[%d].pairs is empty", i)
		}
	}
	if l := k.LoadRestrictor; l != "" && l != LoadRestrictionsRootOnly && l != LoadRestrictionsNone {
		wrong("loadRestrictor %q is neither %s nor %s", l, LoadRestrictionsRootOnly, LoadRestrictionsNone)
	}
	return errors.Join(faults...)
}
