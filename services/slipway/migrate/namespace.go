package migrate

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// takenIn is what takes a file or a folder in: the folders of kustomizations.
type takenIn struct {
	by         map[string][]string
	kustomized map[string]bool   // the folders that have one
	folders    []string          // all of the repository
	namespaces map[string]string // that kustomizations set, by their folders
}

// takenInBy reads all kustomizations of a repository. What can't be read
// sets nothing.
func takenInBy(fsys fs.FS) takenIn {
	t := takenIn{by: map[string][]string{}, kustomized: map[string]bool{}, namespaces: map[string]string{}}
	_ = fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error { // what can't be read sets nothing
		switch {
		case err != nil:
			return nil
		case e.IsDir() && name != "." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir():
			t.folders = append(t.folders, name)
		case e.Type().IsRegular() && slices.Contains(kustomizationNames, e.Name()):
			t.kustomized[path.Dir(name)] = true
			t.read(fsys, name)
		}
		return nil
	})
	return t
}

func (t takenIn) read(fsys fs.FS, name string) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil || len(data) > maxFile {
		return
	}
	var k struct {
		Namespace                    string `yaml:"namespace"`
		Resources, Bases, Components []string
	}
	if yaml.Unmarshal(data, &k) != nil {
		return
	}
	dir := path.Dir(name)
	if k.Namespace != "" {
		t.namespaces[dir] = k.Namespace
	}
	for _, list := range [][]string{k.Resources, k.Bases, k.Components} {
		for _, entry := range list {
			if child := path.Join(dir, entry); child != dir && !strings.Contains(entry, "://") {
				t.by[child] = append(t.by[child], dir)
			}
		}
	}
}

// of is the namespace that the kustomizations which take a file in set: that of the
// outermost. It is empty where none does.
func (t takenIn) of(file string) string {
	namespace := ""
	by := t.by[file]
	for depth := 0; len(by) > 0 && depth < 100; depth++ {
		at := by[len(by)-1]
		namespace = cmp.Or(t.namespaces[at], namespace)
		by = t.by[at]
	}
	return namespace
}

// applies says whether a folder that is applied has a file below it applied, too: not
// where a kustomization is in the way that takes other files in.
func (t takenIn) applies(dir, file string) bool {
	if !under(dir, file) {
		return false
	}
	from := "" // the first kustomization on the way
	for at := path.Dir(file); ; at = path.Dir(at) {
		if t.kustomized[at] {
			from = at
		}
		if at == dir || at == "." {
			break
		}
	}
	return from == "" || t.leads(from, file, map[string]bool{})
}

// leads says whether a folder's kustomization takes something in, by others or itself.
func (t takenIn) leads(from, to string, seen map[string]bool) bool {
	for _, by := range t.by[to] {
		if by == from {
			return true
		}
		if !seen[by] {
			seen[by] = true
			if t.leads(from, by, seen) {
				return true
			}
		}
	}
	return false
}
