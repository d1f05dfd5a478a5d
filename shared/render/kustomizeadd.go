package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

// Fields of an Application that go into its path's kustomization. Flux and
// `kustomize edit` merge in the same way.

// add writes a kustomization with more fields in the place of a directory's
// own, and says where. A directory without one gets it, of plain manifests and folders.
func (r *repository) add(dir, file string, plain []Object, folders []string, fields *api.KustomizeSource) (string, error) {
	if file == "" {
		file = path.Join(dir, kustomizationNames[0])
		r.forced, r.forcedOn = fields.Namespace, file
		if err := r.takeIn(file, folders); err != nil {
			return file, err
		}
		return file, r.addTo(file, map[string]any{"resources": r.resources(dir, plain, folders)}, fields)
	}
	r.forced, r.forcedOn = fields.Namespace, file
	whole, err := r.own(file)
	if err != nil {
		return file, err
	}
	return file, r.addTo(file, whole, fields)
}

// takeIn tells folders by which kustomization they are taken in, which is in no file: their
// charts go into its namespace.
func (r *repository) takeIn(file string, folders []string) error {
	var names []any
	for _, folder := range folders {
		names = append(names, relative(path.Dir(file), folder))
	}
	data, err := yaml.Marshal(map[string]any{"resources": names})
	if err != nil {
		return err
	}
	_, err = r.scan(file, data)
	return err
}

// addTo writes a kustomization with more fields in the place of a file.
func (r *repository) addTo(file string, whole map[string]any, fields *api.KustomizeSource) error {
	added, err := fieldMap(fields)
	if err != nil {
		return err
	}
	r.withoutMissing(path.Dir(file), added, fields)
	if added, err = r.scanAdded(file, added); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if whole[name], err = merged(whole[name], added[name]); err != nil {
			return &Error{File: file, Reason: ReasonBuild, Message: fmt.Sprintf("%s, to which spec.source.kustomize adds, is %s", name, err.Error())}
		}
	}
	data, err := yaml.Marshal(whole)
	if err != nil {
		return &Error{File: file, Reason: ReasonBuild, Message: "add spec.source.kustomize: " + err.Error(), Err: err}
	}
	if r.written[file] = data; r.src.sealed {
		r.withoutSealedPatches(file, data)
	}
	return nil
}

// adds says whether there is something to add.
func adds(fields *api.KustomizeSource) bool {
	m, err := fieldMap(fields)
	return err != nil || len(m) > 0
}

// fieldMap gives fields as kustomize reads them.
func fieldMap(fields *api.KustomizeSource) (map[string]any, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	err = json.Unmarshal(data, &m)
	for _, ours := range []string{"loadRestrictor", "autodetect", "ignoreMissingComponents"} {
		delete(m, ours)
	}
	return m, err
}

// withoutMissing leaves components out that may be missing, and are. When they come, they
// are noticed.
func (r *repository) withoutMissing(dir string, added map[string]any, fields *api.KustomizeSource) {
	if !fields.IgnoreMissingComponents {
		return
	}
	var there []any
	for _, c := range fields.Components {
		if at := path.Join(dir, c); r.src.missing(at) {
			r.looked[at] = true
		} else {
			there = append(there, c)
		}
	}
	if added["components"] = there; len(there) == 0 {
		delete(added, "components")
	}
}

// own is the kustomization that is there.
func (r *repository) own(file string) (map[string]any, error) {
	f, err := r.look(file)
	if err != nil {
		return nil, err
	}
	m, err := document{raw: f.Data, line: 1}.parse(file)
	if err == nil && m == nil {
		m = map[string]any{}
	}
	return m, err
}

// scanAdded looks for what would leave the repository in what is added, and gives it
// as kustomize is to see it. It stands in no file.
func (r *repository) scanAdded(file string, added map[string]any) (map[string]any, error) {
	data, err := yaml.Marshal(added)
	if err != nil {
		return nil, err
	}
	data, err = r.scan(file, data)
	if fault, ok := err.(*Error); ok { //nolint:errorlint // scan gives nothing else
		where := *fault
		where.Line, where.Message = 0, "spec.source.kustomize: "+fault.Message
		return nil, &where
	}
	if err != nil {
		return nil, err
	}
	var seen map[string]any
	return seen, yaml.Unmarshal(data, &seen)
}

// resources writes plain manifests anew, without what is no object, and names
// their files, among the folders.
func (r *repository) resources(dir string, plain []Object, folders []string) []any {
	files := slices.Clone(folders)
	for _, o := range plain {
		if r.written[o.File] == nil {
			files = append(files, o.File)
		} else {
			r.written[o.File] = append(r.written[o.File], "---\n"...)
		}
		r.written[o.File] = append(append(r.written[o.File], bytes.TrimRight(o.Raw, "\n")...), '\n')
	}
	slices.Sort(files)
	names := []any{}
	for _, file := range files {
		names = append(names, relative(dir, file))
	}
	return names
}

// merged puts one field into another. Entries of lists that have a name go in
// the place of the one of that name.
func merged(own, added any) (any, error) {
	switch added := added.(type) {
	case []any:
		list, ok := own.([]any)
		if !ok && own != nil {
			return nil, fmt.Errorf("no list but %T", own)
		}
		for _, entry := range added {
			i := -1
			if name := nameOf(entry); name != "" {
				i = slices.IndexFunc(list, func(e any) bool { return nameOf(e) == name })
			}
			if i < 0 {
				list = append(list, entry)
			} else {
				list[i] = entry
			}
		}
		return list, nil
	case map[string]any:
		m, ok := own.(map[string]any)
		if !ok && own != nil {
			return nil, fmt.Errorf("no mapping but %T", own)
		}
		if m == nil {
			m = map[string]any{}
		}
		maps.Copy(m, added)
		return m, nil
	default:
		return added, nil
	}
}

func nameOf(entry any) string {
	m, _ := entry.(map[string]any)
	name, _ := m["name"].(string)
	return name
}
