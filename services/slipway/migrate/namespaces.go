package migrate

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// builtinNamespaces are in every cluster.
var builtinNamespaces = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// bring writes a Namespace that the other tool made by itself, beside its first
// Application, unless Git has it or it is written already. It is never pruned:
// others may have come to live in it.
func (w *writer) bring(fsys fs.FS, name, beside string, metadata tree) (file string, written bool) {
	if name == "" || slices.Contains(builtinNamespaces, name) {
		return "", false
	}
	if w.namespaces == nil {
		w.namespaces = namespacesOf(fsys)
	}
	if known, there := w.namespaces[name]; there {
		return known, false
	}
	set(metadata, name, "name")
	set(metadata, "disabled", "annotations", "slipway.dev/prune")
	data, err := yaml.Marshal(tree{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
	if err != nil {
		return "", false // texts alone
	}
	file = path.Join(path.Dir(beside), "namespace-"+name+".yaml")
	w.namespaces[name] = file
	w.add(file, data)
	return file, true
}

// namespacesOf are the Namespaces that a repository has, and where. What can't be
// read has none.
func namespacesOf(fsys fs.FS) map[string]string {
	found := map[string]string{}
	// What can't be walked is told by who reads the other tool's documents.
	_ = fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !e.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)):
			return nil
		}
		if info, err := e.Info(); err != nil || info.Size() > maxFile {
			return nil //nolint:nilerr // it has none
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil || !bytes.Contains(data, []byte("Namespace")) {
			return nil //nolint:nilerr // it has none
		}
		for _, s := range readFile(name, data, func(group string) bool { return group == "v1" }, &notes{}) {
			if _, there := found[s.name]; s.kind == "Namespace" && !there {
				found[s.name] = name
			}
		}
		return nil
	})
	return found
}
