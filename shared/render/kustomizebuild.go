package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render/sandbox"
)

// What follows runs in a child.

// kustomization is what a child gets of one: the files that it surely needs.
// For others it asks.
type kustomization struct {
	Dir, File string
	Anywhere  bool // files outside of a kustomization's folder, too
	Known     map[string]found
}

// found is what lies at a path of the repository.
type found struct {
	Kind foundKind
	Data []byte // of a file
}

type foundKind byte

const (
	nothing   foundKind = 'n'
	directory foundKind = 'd'
	regular   foundKind = 'f'
	refused   foundKind = 'r' // Data says why
)

// built is an object that kustomize built, as it prints it and as JSON. Of is the
// mark that it had.
type built struct {
	YAML, JSON []byte
	Of         int
}

// build does what `kustomize build` does.
func (k *kustomization) build(ask sandbox.Ask) ([]built, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command does
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	if k.Anywhere {
		options.LoadRestrictions = types.LoadRestrictionsNone
	}
	options.PluginConfig = types.DisabledPluginConfig()
	if k.Known == nil {
		k.Known = map[string]found{}
	}
	resources, err := krusty.MakeKustomizer(options).Run(&kustomizeFS{known: k.Known, ask: ask}, path.Join(fsRoot, k.Dir))
	if err != nil {
		return nil, k.fault(err)
	}
	var all []built
	for _, r := range resources.Resources() {
		b := built{}
		if b.Of, err = unmark(&r.RNode); err == nil {
			b.JSON, err = r.MarshalJSON()
		}
		if err == nil {
			b.YAML, err = yaml.JSONToYAML(b.JSON) // these two are Resource.AsYAML
		}
		if err != nil {
			return nil, k.fault(err)
		}
		all = append(all, b)
	}
	return all, nil
}

func (k *kustomization) fault(err error) error {
	fault := &Error{File: k.File, Reason: ReasonBuild, Message: "kustomize: " + strings.ReplaceAll(err.Error(), fsRoot, "")}
	if !k.Anywhere && strings.Contains(err.Error(), "is not in or below") {
		fault.Help = "put it below the kustomization, or set spec.source.kustomize.loadRestrictor: " + api.LoadRestrictionsNone + " in the Application, as Flux has it"
	}
	return fault
}

// fsRoot is where kustomize sees the repository.
const fsRoot = "/repository"

var (
	errReadOnly = errors.New("the repository is read-only")
	errNotHere  = errors.New("a build lists no files")
)

// kustomizeFS shows a commit to kustomize, file by file as it asks.
type kustomizeFS struct {
	known map[string]found
	ask   sandbox.Ask
}

var _ filesys.FileSystem = (*kustomizeFS)(nil)

// look gives what lies at a path, and its name within the repository.
func (k *kustomizeFS) look(p string) (string, found) {
	p = path.Clean(filepath.ToSlash(p))
	if p == fsRoot {
		return ".", found{Kind: directory}
	}
	name, inside := strings.CutPrefix(p, fsRoot+"/")
	if !inside || len(name) > maxName {
		return name, found{Kind: nothing}
	}
	f, known := k.known[name]
	if !known {
		answer := k.ask([]byte(name))
		f = found{foundKind(answer[0]), answer[1:]}
		k.known[name] = f
	}
	return name, f
}

// maxName bounds a path, as systems do.
const maxName = 4096

func (k *kustomizeFS) Exists(p string) bool {
	_, f := k.look(p)
	return f.Kind != nothing
}

func (k *kustomizeFS) IsDir(p string) bool {
	_, f := k.look(p)
	return f.Kind == directory
}

func (k *kustomizeFS) ReadFile(p string) ([]byte, error) {
	switch name, f := k.look(p); f.Kind {
	case regular:
		return f.Data, nil
	case refused:
		return nil, errors.New(string(f.Data))
	default:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
}

func (k *kustomizeFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	p = path.Clean(filepath.ToSlash(p))
	switch _, f := k.look(p); f.Kind {
	case nothing:
		return "", "", fmt.Errorf("%q is not in the repository: %w", strings.TrimPrefix(p, fsRoot+"/"), fs.ErrNotExist)
	case directory:
		return filesys.ConfirmedDir(p), "", nil
	default:
		return filesys.ConfirmedDir(path.Dir(p)), path.Base(p), nil
	}
}

func (k *kustomizeFS) ReadDir(string) ([]string, error)     { return nil, errNotHere }
func (k *kustomizeFS) Glob(string) ([]string, error)        { return nil, errNotHere }
func (k *kustomizeFS) Walk(string, filepath.WalkFunc) error { return errNotHere }
func (k *kustomizeFS) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (k *kustomizeFS) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (k *kustomizeFS) Mkdir(string) error                   { return errReadOnly }
func (k *kustomizeFS) MkdirAll(string) error                { return errReadOnly }
func (k *kustomizeFS) RemoveAll(string) error               { return errReadOnly }
func (k *kustomizeFS) WriteFile(string, []byte) error       { return errReadOnly }
