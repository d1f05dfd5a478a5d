package migrate

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/render"
)

// built are the documents as the kustomizations that take them in make them: what an
// overlay patches is in them, and each of several overlays has its own. What no
// kustomization takes in is as it stands.
func (a *argo) built(inside []*source) ([]*source, error) {
	below := cleanPath(a.Below)
	roots := a.overlays(below)
	if len(roots) == 0 {
		return inside, nil
	}
	all, err := a.withOutside(inside, below)
	if err != nil {
		return nil, err
	}
	by, made := a.build(roots, all)
	kept, more := map[*source]bool{}, []*source(nil)
	for _, root := range roots {
		for _, o := range made[root] {
			origin := originOf(all, o, func(s *source) bool { return slices.Contains(by[s], root) })
			alone := origin != nil && len(by[origin]) == 1 && slices.Contains(inside, origin)
			if alone && standsAs(origin, o) {
				origin.namespace = o.Namespace
				kept[origin] = true
				continue
			}
			more = append(more, a.asBuilt(root, o, origin, alone)...)
		}
	}
	inside = slices.DeleteFunc(inside, func(s *source) bool { return len(by[s]) > 0 && !kept[s] })
	return append(inside, more...), nil
}

// withOutside are the documents, and those beyond the folder that is read: overlays may
// take them in.
func (a *argo) withOutside(inside []*source, below string) ([]*source, error) {
	if below == "." {
		return inside, nil
	}
	every, err := readAll(a.ctx, a.FS, ".", argoGroups, []string{argoGroup}, &notes{})
	all := slices.Clone(inside)
	for _, s := range every {
		if !under(below, s.file) {
			s.notes = a.w.notes
			all = append(all, s)
		}
	}
	return all, err
}

// build gives what each kustomization makes, and which of them have each document.
func (a *argo) build(roots []string, all []*source) (by map[*source][]string, made map[string][]render.Object) {
	by, made = map[*source][]string{}, map[string][]render.Object{}
	for _, root := range roots {
		result, err := render.Render(a.ctx, render.Request{FS: a.FS, Path: root})
		if err != nil {
			a.w.notes.add(Note{
				Kind: Different, File: path.Join(root, kustomizationOf(a.FS, root)), Line: 1,
				What: "it can't be built, so that the documents of Argo CD in it are read as they stand: " + err.Error(), Do: "see that nothing of it changes them",
			})
			continue
		}
		for _, o := range result.Objects {
			if argoKinds[o.Kind] && argoGroups(o.Group()) {
				made[root] = append(made[root], o)
			}
		}
		for _, s := range all {
			if result.Touched([]string{s.file}) {
				by[s] = append(by[s], root)
			}
		}
	}
	return by, made
}

// asBuilt reads what a kustomization makes of a document; of nil it isn't known of
// which. It lies where that lies, if nobody else takes it in, and else in its overlay.
func (a *argo) asBuilt(root string, o render.Object, origin *source, alone bool) []*source {
	file := path.Join(root, strings.ToLower(o.Kind)+"-"+o.Name+".yaml")
	switch {
	case alone:
		file = origin.file
	case origin != nil:
		file = path.Join(root, path.Base(origin.file))
	}
	return readMade(file, o, argoGroups, origin, a.w.notes)
}

// originOf finds the document that an object is made of, rather than a patch of it.
func originOf(all []*source, o render.Object, within func(*source) bool) (best *source) {
	most := -1
	for _, s := range all {
		if s.kind != o.Kind || !strings.HasPrefix(o.Name, s.name) && !strings.HasSuffix(o.Name, s.name) || !within(s) {
			continue
		}
		if says := len(s.name)<<10 + len(s.at("spec").keys()); says > most {
			best, most = s, says
		}
	}
	return best
}

// standsAs says whether an object is what a document says, but for its namespace.
func standsAs(s *source, o render.Object) bool {
	var raw map[string]any
	if s.root.Decode(&raw) != nil {
		return false
	}
	object := maps.Clone(o.Map)
	for _, m := range []map[string]any{raw, object} {
		if metadata, ok := m["metadata"].(map[string]any); ok && s.namespace == "" {
			metadata = maps.Clone(metadata)
			delete(metadata, "namespace")
			m["metadata"] = metadata
		}
	}
	x, errX := json.Marshal(plain(raw))
	y, errY := json.Marshal(object)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// argoKinds are the kinds that are read.
var argoKinds = map[string]bool{"Application": true, "AppProject": true, "ApplicationSet": true, "ImageUpdater": true}

func argoGroups(group string) bool { return group == argoGroup || group == updaterGroup }

var argoDocument = regexp.MustCompile(`(?m)^\s*kind:\s*['"]?(` + strings.Join(sortedKeys(argoKinds), "|") + `)['"]?\s*(#.*)?$`)

// overlays are the folders below one whose kustomizations take in documents of Argo CD,
// also through others, and that no other kustomization takes in.
func (a *argo) overlays(below string) (roots []string) {
	taken := takenInBy(a.FS)
	seen := map[string]bool{}
	var climb func(dir string)
	climb = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		if len(taken.by[dir]) == 0 && (dir == below || under(below, dir)) {
			roots = append(roots, dir)
		}
		for _, parent := range taken.by[dir] {
			climb(parent)
		}
	}
	for _, file := range sortedKeys(taken.by) {
		data, err := fs.ReadFile(a.FS, file)
		if err != nil || len(data) > maxFile || !bytes.Contains(data, []byte(argoGroup)) || !argoDocument.Match(data) {
			continue
		}
		for _, dir := range taken.by[file] {
			climb(dir)
		}
	}
	slices.Sort(roots)
	return roots
}
