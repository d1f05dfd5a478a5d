package render

import (
	"bytes"
	"context"
	"maps"
	"path"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/bases"
)

// repository is what a build may see of a commit. It notes what was looked at:
// that is what the build depends on. A kustomization is scanned before
// kustomize sees it.
type repository struct {
	src     *source
	looked  map[string]bool
	scanned map[string]error
	// written are files that stand in the place of the commit's.
	written map[string][]byte
	named   []string // what scanned files name: files and directories, maybe
	refused error    // the first fault
	uses    map[string]use
	bases   map[bases.Address]bases.Base // that were brought
	// roots are the kustomizations' folders from which the paths in a file go, where
	// they name the file.
	roots map[string]string
	// folders are those that only written files are in.
	folders  map[string]bool
	families map[string]*family // of folders
	// forced is the namespace that the Application puts into the file forcedOn.
	forced, forcedOn string

	varies []ID     // what charts would make otherwise the next time
	ranges []string // what ranges of charts came to
	ctx    context.Context
}

func newRepository(ctx context.Context, src *source) *repository {
	return &repository{src: src, looked: map[string]bool{}, scanned: map[string]error{}, written: map[string][]byte{}, uses: map[string]use{}, bases: map[bases.Address]bases.Base{}, roots: map[string]string{}, folders: map[string]bool{}, families: map[string]*family{}, ctx: ctx}
}

// used are the files that were looked for, whether or not they are there.
func (r *repository) used() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.looked)), isOurs)
}

// look reads a file. Directories are not noted: what counts in them are the
// files that are read.
func (r *repository) look(name string) (found, error) {
	if data, ok := r.written[name]; ok {
		r.looked[name] = true
		return found{regular, data}, nil
	}
	info := r.src.stat(name)
	if r.folders[name] || info != nil && info.IsDir() {
		return found{Kind: directory}, nil
	}
	r.looked[name] = true
	if info == nil {
		return found{Kind: nothing}, nil
	}
	read := r.src.read
	if r.uses[name] == forConfig {
		read = r.src.readRaw
	}
	data, err := read(name)
	if err != nil {
		return found{}, err
	}
	if _, done := r.scanned[name]; !done {
		var seen []byte
		if seen, r.scanned[name] = r.scan(name, data); r.scanned[name] == nil && !bytes.Equal(seen, data) {
			r.written[name], data = seen, seen
		}
	}
	if r.src.sealed && r.scanned[name] == nil && slices.Contains(kustomizationNames, path.Base(name)) {
		data = r.withoutSealedPatches(name, data)
	}
	return found{regular, data}, r.scanned[name]
}

// withoutSealedPatches leaves patches out of a kustomization of which not even
// the kind can be read: they patch nothing that we could see.
func (r *repository) withoutSealedPatches(name string, data []byte) []byte {
	m, err := document{raw: data, line: 1}.parse(name)
	if err != nil {
		return data // kustomize says what it thinks of it
	}
	some := false
	for _, field := range []string{"patches", "patchesStrategicMerge"} {
		list, _ := m[field].([]any)
		kept := slices.DeleteFunc(slices.Clone(list), func(entry any) bool {
			file, _ := entry.(string)
			if patch, ok := entry.(map[string]any); ok {
				file, _ = patch["path"].(string)
			}
			return file != "" && r.isSealed(path.Join(path.Dir(name), file))
		})
		some = some || len(kept) < len(list)
		if list != nil {
			m[field] = kept
		}
	}
	if !some {
		return data
	}
	written, err := yaml.Marshal(m)
	if err != nil {
		return data
	}
	r.written[name] = written
	return written
}

// isSealed says whether a manifest's kind is encrypted, too.
func (r *repository) isSealed(name string) bool {
	if !r.encrypted(name) {
		return false
	}
	data, err := r.src.readRaw(name)
	if err != nil {
		return false
	}
	m, err := document{raw: data, line: 1}.parse(name)
	kind, _ := m["kind"].(string)
	return err == nil && cipher.MatchString(kind)
}

// answer is for a child that asks for a path.
func (r *repository) answer(question []byte) []byte {
	f, err := r.look(string(question))
	if err != nil {
		if r.refused == nil {
			r.refused = err
		}
		f = found{refused, []byte(err.Error())}
	}
	return append([]byte{byte(f.Kind)}, f.Data...)
}

// closure is what kustomize will surely ask for: it saves the questions. What
// is at fault is left for it to ask.
func (r *repository) closure(dir string) map[string]found {
	known := map[string]found{}
	waiting := []string{dir}
	for len(waiting) > 0 {
		name := waiting[0]
		waiting = waiting[1:]
		if _, done := known[name]; done {
			continue
		}
		f, err := r.look(name)
		if err != nil {
			continue
		}
		known[name] = f
		if f.Kind == directory {
			for _, file := range kustomizationNames {
				waiting = append(waiting, path.Join(name, file))
			}
		}
		waiting, r.named = append(waiting, r.named...), nil
	}
	return known
}
