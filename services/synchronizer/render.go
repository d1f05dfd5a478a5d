package synchronizer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/services/synchronizer/decrypt"
	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
	basefetch "github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/render"
)

// CheckHealth says what is wrong in the health rules of an Application, each fault
// beginning with its field.
func CheckHealth(rules []api.HealthRule) error {
	_, err := rule.Compile(rules)
	return err
}

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
	// RootVars is a file of variables that are replaced in the file of the Application
	// itself, as its root does by its own spec.substitute. Empty: it is read as it stands.
	RootVars string
	// Values are files of YAML mappings that stand in, in order, for what a chart
	// takes from the cluster. None: nothing does.
	Values []string
	// AgeKeys are files of age identities that stand in for the Secret of
	// spec.decryption. None: an encrypted file is an error.
	AgeKeys []string
	// RemoteBases are patterns of what a kustomization may name beyond its
	// repository, as of the config's remoteBases.
	RemoteBases []string
}

// Render writes what the synchronizer would apply, as a YAML stream in apply
// order. It uses no cluster, and the network only for charts and bases that lie
// outside of the repository.
func Render(ctx context.Context, o RenderOptions, w io.Writer) error {
	dir, request, application, err := folder(o)
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
	done, err := o.complete(&request, dir)
	if err != nil {
		return err
	}
	defer done()
	result, err := render.Render(ctx, request)
	if err != nil {
		return withoutCluster(err, application, o)
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

// withoutCluster is the error of a render that may be for want of a cluster.
func withoutCluster(err error, application *api.Application, o RenderOptions) error {
	if application == nil || application.Spec.Source.Helm == nil {
		return err
	}
	if len(application.Spec.Source.Helm.ValuesFrom) > 0 && len(o.Values) == 0 {
		err = fmt.Errorf("%w (what the chart takes from the cluster by valuesFrom isn't here: `slipway diff` has a cluster, and --values FILE stands in for it)", err)
	}
	if application.Spec.Source.Helm.Lookup {
		err = fmt.Errorf("%w (what the chart looks up isn't found here, without a cluster: `slipway diff` has one)", err)
	}
	return err
}

// complete has a request know its repository, its keys, given values, and where charts and bases
// are. done is called when it is rendered.
func (o RenderOptions) complete(request *render.Request, dir string) (done func(), err error) {
	if len(o.AgeKeys) > 0 {
		if request.Decrypter, err = readAgeKeys(o.AgeKeys); err != nil {
			return nil, err
		}
	}
	if request.Helm.ValuesFrom, err = readValues(o.Values); err != nil {
		return nil, err
	}
	if request.FS, request.Path, err = within(dir); err != nil {
		return nil, err
	}
	request.Helm.Namespace = cmp.Or(o.Namespace, request.Helm.Namespace)
	request.Charts = fetch.User()
	if request.Bases, done, err = basefetch.User(o.RemoteBases); err != nil {
		return nil, fmt.Errorf("%w: remote bases: %w", ErrInput, err)
	}
	return done, nil
}

// readAgeKeys reads files of identities. The error is an ErrInput.
func readAgeKeys(names []string) (render.Decrypter, error) {
	data := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		data[name] = text
	}
	keys, err := decrypt.ReadAge(strings.Join(names, ", "), data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return keys, nil
}

// folder is the absolute folder that the options mean, how it is rendered, and
// the Application if they name one.
func folder(o RenderOptions) (string, render.Request, *api.Application, error) {
	if (o.Path == "") == (o.Application == "") {
		return "", render.Request{}, nil, errors.New("give either a path or an Application")
	}
	if o.Path != "" {
		dir, err := filepath.Abs(o.Path)
		return dir, render.Request{}, nil, err
	}
	application, err := o.readApplication()
	if err != nil {
		return "", render.Request{}, nil, err
	}
	if _, err := rule.Compile(application.Spec.Health); err != nil {
		return "", render.Request{}, nil, fmt.Errorf("%w: %s: %w", api.ErrDocument, o.Application, err)
	}
	file, err := filepath.Abs(o.Application)
	if err != nil {
		return "", render.Request{}, nil, err
	}
	root, err := repositoryRoot(filepath.Dir(file))
	if err != nil {
		return "", render.Request{}, nil, err
	}
	if root == filepath.Dir(root) {
		root = filepath.Dir(file) // in no repository: beside the file
	}
	return filepath.Join(root, filepath.FromSlash(application.Spec.Source.Path)), render.Application(nil, application), application, nil
}

// readApplication reads a file's one Application.
func (o RenderOptions) readApplication() (*api.Application, error) {
	name := o.Application
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if o.RootVars != "" {
		vars, err := readVars(o.RootVars)
		if err != nil {
			return nil, err
		}
		if data, err = render.Documents(name, data, vars); err != nil {
			return nil, fmt.Errorf("replace what the root replaces: %w", err)
		}
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

// within is the repository that holds a folder, and the folder's path in it.
func within(dir string) (fsys fs.FS, path string, err error) {
	root, err := repositoryRoot(dir)
	if err != nil {
		return nil, "", err
	}
	path, err = filepath.Rel(root, dir)
	return os.DirFS(root), filepath.ToSlash(path), err
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
