// Package bootstrap begins a cluster: it commits the root Application and the
// synchronizer's manifests to the config repo, and applies what is in there. From
// then on, and for the next cluster of that name, Git is enough.
package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/kube"
)

var (
	// ErrInput says that what was asked for can't be.
	ErrInput = errors.New("wrong input")
	// ErrRefused says that it would harm what is there, or that the Git host says
	// no.
	ErrRefused = errors.New("refused")
)

// RootName is the name of the root Application.
const RootName = "root"

// clusterAnnotation says whose root an Application is.
const clusterAnnotation = "slipway.dev/cluster"

// Options say what is begun.
type Options struct {
	Repository, Branch, Path, Namespace, Cluster string
	// Controller installs the synchronizer, too, of that Image.
	Controller    bool
	Image, BusURL string
	// Anew writes the synchronizer's manifests also where they are there already.
	Anew bool
	// Git opens the repository; its URL and branch are those above.
	Git gitrepo.Options
	// Name and Email are the commit's.
	Name, Email string
	Signer      gitrepo.Signer
	Say         func(string)
	Log         *slog.Logger
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Check finds what is wrong by itself, and cleans the path.
func (o *Options) Check() error {
	if _, err := events.ParseGitRepository(o.Repository, nil); err != nil {
		return fmt.Errorf("%w: --repository: %w", ErrInput, err)
	}
	cleaned := path.Clean(o.Path)
	if o.Path == "" || !fs.ValidPath(cleaned) {
		return fmt.Errorf("%w: --path %q is not a folder inside the repository: write it without a leading slash and without \"..\"", ErrInput, o.Path)
	}
	o.Path = cleaned
	if o.Cluster == "" {
		if o.Cluster = path.Base(o.Path); o.Path == "." {
			return fmt.Errorf("%w: name the cluster with --cluster", ErrInput)
		}
	}
	for _, f := range []struct{ name, value string }{{"--cluster", o.Cluster}, {"--namespace", o.Namespace}} {
		if !label.MatchString(f.value) {
			return fmt.Errorf("%w: %s %q is not a DNS label in lower case", ErrInput, f.name, f.value)
		}
	}
	return nil
}

// rootFile and controllerFile are where they lie.
func (o Options) rootFile() string { return o.at("root.yaml") }

func (o Options) controllerFile() string { return o.at("synchronizer.yaml") }

// rootText is the root Application's document.
func (o Options) rootText() string {
	return fmt.Sprintf(`# The root Application of cluster %s, written by `+"`slipway bootstrap`"+`: everything below
# %s is applied by it, itself included. It stays when it is taken out of Git, and what it has
# brought stays when it is deleted.
apiVersion: %s
kind: Application
metadata:
  name: %s
  namespace: %s
  annotations:
    %s: %s
    slipway.dev/prune: disabled
spec:
  source:
    repository: %q
    branch: %q
    path: %q
  onDelete: orphan
`, o.Cluster, o.Path, api.APIVersion, RootName, o.Namespace, clusterAnnotation, o.Cluster, o.Repository, o.Branch, o.Path)
}

// namespaceText is the namespace of both, which holds pods of least rights alone.
func (o Options) namespaceText() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata:
  name: %s
  labels:
    pod-security.kubernetes.io/enforce: restricted
  annotations:
    slipway.dev/prune: disabled
`, o.Namespace)
}

// files are what is committed where it isn't there.
func (o Options) files() (map[string]string, error) {
	files := map[string]string{o.rootFile(): o.rootText(), o.at("namespace.yaml"): o.namespaceText()}
	if !o.Controller {
		return files, nil
	}
	text, err := synchronizer.Manifests(synchronizer.ManifestOptions{
		Namespace: o.Namespace, Cluster: o.Cluster, Repository: o.Repository, Branch: o.Branch, Path: o.Path, Image: o.Image, BusURL: o.BusURL,
		Credentials: o.Git.Password != "", User: o.Git.User,
	})
	files[o.controllerFile()] = text
	return files, err
}

// Plan is what would be committed and applied, as a YAML stream.
func Plan(o Options) (string, error) {
	files, err := o.files()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(synchronizer.Definitions())
	for _, name := range sorted(files) {
		fmt.Fprintf(&b, "---\n# %s\n%s", name, files[name])
	}
	return b.String(), nil
}

func sorted(files map[string]string) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Run begins a cluster. What is in Git already stands, and is what is applied.
func Run(ctx context.Context, clients *kube.Clients, o Options) error {
	if err := synchronizer.Reach(ctx, clients); err != nil {
		return err
	}
	committed, err := o.commit(ctx)
	if err != nil {
		return err
	}
	if o.Controller && (o.Git.SSH != nil || o.Git.App != nil) {
		o.Say("note: the repository's credentials are a key, which is not written anywhere: mount it into the Deployment synchronizer, and name it in its ConfigMap, both in " + o.controllerFile())
	}
	if err := synchronizer.InstallDefinitions(ctx, clients, o.Log); err != nil {
		return err
	}
	o.Say("installed the CRDs")
	var stream strings.Builder
	for _, name := range sorted(committed) { // the namespace comes first, the root last
		if name != o.rootFile() {
			stream.WriteString("---\n" + committed[name])
		}
	}
	if secret := o.secretText(); secret != "" {
		stream.WriteString("---\n" + secret)
	}
	stream.WriteString("---\n" + committed[o.rootFile()])
	applied, err := synchronizer.ApplyManifests(ctx, clients, stream.String())
	for _, name := range applied {
		o.Say("applied " + name)
	}
	return err
}

// secretText is the Git host's token, for the cluster alone.
func (o Options) secretText() string {
	if !o.Controller || o.Git.Password == "" {
		return ""
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "slipway-git", "namespace": o.Namespace},
		"stringData": map[string]string{"token": o.Git.Password},
	})
	if err != nil {
		return "" // texts can always be written
	}
	return string(text)
}

// commit brings the files into the repository, and gives them as they are in
// there then.
func (o Options) commit(ctx context.Context) (map[string]string, error) {
	mirror, err := gitrepo.Open(ctx, o.Git)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	const tries = 5
	for range tries {
		var head *gitrepo.Commit
		if head, err = mirror.Fetch(ctx); err != nil {
			return nil, o.gitFault(err)
		}
		var wanted, changed map[string]string
		if wanted, changed, err = o.compare(ctx, head.FS()); err != nil {
			return nil, err
		}
		if len(changed) == 0 {
			o.Say("the repository has it all: nothing is committed")
			return wanted, nil
		}
		files := map[string][]byte{}
		for name, text := range changed {
			files[name] = []byte(text)
		}
		made, pushErr := mirror.Push(ctx, head, gitrepo.Change{
			Files: files, Message: "Bootstrap cluster " + o.Cluster + "\n\nWritten by slipway bootstrap.\n",
			Name: o.Name, Email: o.Email, When: time.Now(), Signer: o.Signer,
		})
		if err = pushErr; err == nil {
			for _, name := range sorted(changed) {
				o.Say("committed " + name)
			}
			o.Say("pushed " + made.Hash() + " to " + o.Branch)
			return wanted, nil
		}
		if !errors.Is(err, gitrepo.ErrMoved) {
			break
		}
	}
	return nil, o.gitFault(err)
}

// gitFault says what to do about an error of the Git host.
func (o Options) gitFault(err error) error {
	switch {
	case errors.Is(err, gitrepo.ErrNoBranch):
		return fmt.Errorf("%w: %w: make the branch with a first commit, or name another with --branch", ErrInput, err)
	case errors.Is(err, gitrepo.ErrUnauthorized):
		return fmt.Errorf("%w: %w: give a token that may push by --git-token-env, or the config that has it by --config", ErrRefused, err)
	case errors.Is(err, gitrepo.ErrRefused):
		return fmt.Errorf("%w: %w: name a branch that you may push to with --branch, or ask for the right", ErrRefused, err)
	}
	return err
}

// compare gives what shall be in the repository, and what of it isn't. What
// people have there stands.
func (o Options) compare(ctx context.Context, fsys fs.FS) (wanted, changed map[string]string, err error) {
	if err := o.ours(fsys); err != nil {
		return nil, nil, err
	}
	wanted, err = o.files()
	if err != nil {
		return nil, nil, err
	}
	changed = map[string]string{}
	for name, text := range wanted {
		old, err := fs.ReadFile(fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed[name] = text
		case err != nil:
			return nil, nil, fmt.Errorf("%w: read %s of the repository: %w", ErrInput, name, err)
		case string(old) != text && o.Anew && name == o.controllerFile():
			changed[name] = text
		default:
			wanted[name] = string(old)
		}
	}
	return wanted, changed, o.renders(ctx, fsys, wanted)
}

// ours refuses a path that holds another cluster's root, or lies within the path
// of one.
func (o Options) ours(fsys fs.FS) error {
	if err := o.within(fsys); err != nil {
		return err
	}
	return fs.WalkDir(fsys, o.Path, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == o.Path:
			return fs.SkipAll // it will be made
		case err != nil:
			return fmt.Errorf("%w: read %s of the repository: %w", ErrInput, name, err)
		case name == o.Path && !e.IsDir():
			return fmt.Errorf("%w: --path %s is a file", ErrInput, o.Path)
		case e.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(name)):
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil || !bytes.Contains(data, []byte(clusterAnnotation)) && name != o.rootFile() {
			return nil // a link, say: whoever renders it tells
		}
		documents, err := api.Decode(name, data)
		if err != nil && name == o.rootFile() {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		return o.sameRoot(documents)
	})
}

// within refuses a path below that of another root, which would apply this one's
// documents, too.
func (o Options) within(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%w: read %s of the repository: %w", ErrInput, name, err)
		case e.IsDir() && (name == o.Path || path.Base(name) == ".git"):
			return fs.SkipDir
		case path.Base(name) != path.Base(o.rootFile()):
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil // a link, say
		}
		documents, _ := api.Decode(name, data) // what is wrong elsewhere is no concern of ours
		for _, d := range documents {
			a, ok := d.Object.(*api.Application)
			if !ok || a.Metadata.Annotations[clusterAnnotation] == "" || !same(a.Spec.Source.Repository, o.Repository) {
				continue
			}
			if p := path.Clean(a.Spec.Source.Path); p == "." || p == o.Path || strings.HasPrefix(o.Path, p+"/") {
				return fmt.Errorf("%w: %s:%d is the root of cluster %s, and applies everything below %s: name a --path beside it", ErrRefused, d.File, d.Line, a.Metadata.Annotations[clusterAnnotation], p)
			}
		}
		return nil
	})
}

func (o Options) sameRoot(documents []api.Document) error {
	for _, d := range documents {
		a, ok := d.Object.(*api.Application)
		if !ok {
			continue
		}
		at := fmt.Sprintf("%s:%d", d.File, d.Line)
		cluster, root := a.Metadata.Annotations[clusterAnnotation]
		switch s := a.Spec.Source; {
		case root && cluster != o.Cluster:
			return fmt.Errorf("%w: %s is the root of cluster %s: name another --path, or that cluster", ErrRefused, at, cluster)
		case root && d.File != o.rootFile():
			return fmt.Errorf("%w: %s is the root of this cluster already, in namespace %s: give --namespace %s, or move it", ErrRefused, at, a.Metadata.Namespace, a.Metadata.Namespace)
		case d.File == o.rootFile() && !same(s.Repository, o.Repository), d.File == o.rootFile() && (s.Branch != o.Branch || path.Clean(s.Path) != o.Path):
			return fmt.Errorf("%w: %s follows %s, branch %s, path %s: it was copied, or its repository has moved: correct it in Git first", ErrRefused, at, s.Repository, s.Branch, s.Path)
		}
	}
	return nil
}

// same says whether two addresses mean one repository.
func same(a, b string) bool {
	x, errX := events.ParseGitRepository(a, nil)
	y, errY := events.ParseGitRepository(b, nil)
	return errX == nil && errY == nil && x == y
}
