// Package deploy renders deploy/kubernetes, and runs on this machine what it has
// of NATS.
package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

// Folder is where the manifests are.
const Folder = "deploy/kubernetes"

// Objects are an overlay's, in the order in which they are applied.
type Objects []render.Object

// Overlay renders an overlay into a namespace, as a user's own kustomization
// does that names it, with more components of deploy/kubernetes.
func Overlay(ctx context.Context, root, name, namespace string, components ...string) (Objects, error) {
	return Path(ctx, root, Folder+"/overlays/"+name, namespace, components...)
}

// Path is [Overlay] for any folder with a kustomization.
func Path(ctx context.Context, root, folder, namespace string, components ...string) (Objects, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "namespace: %s\nresources: [../%s]\n", namespace, folder)
	if len(components) > 0 {
		text.WriteString("components:\n")
	}
	for _, c := range components {
		fmt.Fprintf(&text, "- ../%s/components/%s\n", Folder, c)
	}
	objects, err := Own(ctx, root, map[string]string{"kustomization.yaml": text.String()})
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", folder, err)
	}
	return objects, nil
}

// Own renders a folder that a user has beside ours.
func Own(ctx context.Context, root string, files map[string]string) (Objects, error) {
	const own = "own"
	fsys := with{os.DirFS(root), fstest.MapFS{}}
	for name, text := range files {
		fsys.own[own+"/"+name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	result, err := render.Render(ctx, render.Request{FS: fsys, Path: own})
	return result.Objects, err
}

// with is a folder that a user has beside ours.
type with struct {
	fs.FS
	own fstest.MapFS
}

// Open opens what is the user's, else what is ours.
func (w with) Open(name string) (fs.File, error) {
	f, err := w.own.Open(name)
	if errors.Is(err, fs.ErrNotExist) || name == "." {
		return w.FS.Open(name)
	}
	return f, err
}

// Stream is all as one YAML stream.
func (o Objects) Stream() string {
	var b bytes.Buffer
	for _, object := range o {
		b.WriteString("---\n")
		b.Write(bytes.TrimSpace(object.Raw))
		b.WriteString("\n")
	}
	return b.String()
}

// Find gives the object of that kind and name.
func (o Objects) Find(kind, name string) (render.Object, error) {
	for _, object := range o {
		if object.Kind == kind && object.Name == name {
			return object, nil
		}
	}
	return render.Object{}, fmt.Errorf("there is no %s %s", kind, name)
}

// Data is a file of a ConfigMap.
func (o Objects) Data(configMap, file string) (string, error) {
	object, err := o.Find("ConfigMap", configMap)
	if err != nil {
		return "", err
	}
	data, _ := object.Map["data"].(map[string]any)
	text, ok := data[file].(string)
	if !ok {
		return "", fmt.Errorf("ConfigMap %s has no %s", configMap, file)
	}
	return text, nil
}
