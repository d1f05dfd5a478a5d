package synchronizer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/render"
)

// RenderOptions say what [Render] renders. Exactly one of Path and
// Application is given.
type RenderOptions struct {
	// Path is a folder on disk.
	Path string
	// Application is a file with one Application, whose path is taken in the
	// repository that holds the file.
	Application string
	// Namespace is what a chart takes for its release's; empty: that of the
	// Application's objects, and "default" for a path.
	Namespace string
	// Vars is a file of variables that stands in for what the Application takes
	// from the cluster; the Application's own win over it. Empty: there is none.
	Vars string
}

// Render writes what the synchronizer would apply, as a YAML stream in apply
// order. It uses no cluster, and the network only for charts that lie outside of the
// repository.
func Render(ctx context.Context, o RenderOptions, w io.Writer) error {
	dir, request, err := folder(o)
	if err != nil {
		return err
	}
	if o.Vars != "" {
		given, err := readVars(o.Vars)
		if err != nil {
			return err
		}
		maps.Copy(given, request.Vars)
		request.Vars = given
	}
	root, err := repositoryRoot(dir)
	if err != nil {
		return err
	}
	within, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	request.Helm.Namespace = cmp.Or(o.Namespace, request.Helm.Namespace)
	request.Charts = fetch.User()
	request.FS, request.Path = os.DirFS(root), filepath.ToSlash(within)
	result, err := render.Render(ctx, request)
	if err != nil {
		return err
	}
	for i, object := range result.Objects {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		raw := object.Raw
		if !bytes.HasSuffix(raw, []byte("\n")) {
			raw = append(bytes.Clone(raw), '\n')
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// folder is the absolute folder that the options mean, and how it is rendered.
func folder(o RenderOptions) (string, render.Request, error) {
	if (o.Path == "") == (o.Application == "") {
		return "", render.Request{}, errors.New("give either a path or an Application")
	}
	if o.Path != "" {
		dir, err := filepath.Abs(o.Path)
		return dir, render.Request{}, err
	}
	application, err := readApplication(o.Application)
	if err != nil {
		return "", render.Request{}, err
	}
	if _, err := rule.Compile(application.Spec.Health); err != nil {
		return "", render.Request{}, fmt.Errorf("%w: %s: %w", api.ErrDocument, o.Application, err)
	}
	file, err := filepath.Abs(o.Application)
	if err != nil {
		return "", render.Request{}, err
	}
	root, err := repositoryRoot(filepath.Dir(file))
	if err != nil {
		return "", render.Request{}, err
	}
	if root == filepath.Dir(root) {
		root = filepath.Dir(file) // in no repository: beside the file
	}
	return filepath.Join(root, filepath.FromSlash(application.Spec.Source.Path)), render.Application(nil, application), nil
}

// readApplication reads a file's one Application.
func readApplication(name string) (*api.Application, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	documents, err := api.Decode(name, data)
	if err != nil {
		return nil, err
	}
	var found []*api.Application
	for _, d := range documents {
		if application, ok := d.Object.(*api.Application); ok {
			found = append(found, application)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s holds %d Applications, not one", name, len(found))
	}
	return found[0], nil
}

// repositoryRoot is the closest folder above that holds .git. Where none does,
// it is the whole disk, since a kustomization's bases may lie anywhere.
func repositoryRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil {
			return at, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return at, nil
		}
	}
}
