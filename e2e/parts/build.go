package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// program is how one of the programs is built.
type program struct {
	module  string                    // the folder that go build runs in, from the root
	pkg     string                    // the package, from there
	tags    string                    // build tags
	cgo     string                    // CGO_ENABLED
	plain   bool                      // built without a module
	ldflags func(gomod string) string // more linker flags, from the text of go.mod
}

var programs = map[Name]program{
	ClusterProgram:  {module: "e2e/cluster", pkg: ".", cgo: "0", ldflags: kubernetesVersion},
	RegistryProgram: {module: "e2e/registry", pkg: ".", cgo: "0"},
	GiteaProgram:    {module: "e2e/githost", pkg: ".", cgo: "1", tags: "sqlite,sqlite_unlock_notify"},
	NATSProgram:     {module: "e2e/nats", pkg: "github.com/nats-io/nats-server/v2", cgo: "0"},
	NATSCLIProgram:  {module: "e2e/natscli", pkg: "github.com/nats-io/natscli/nats", cgo: "0"},
	CaddyProgram:    {module: "e2e/caddy", pkg: ".", cgo: "0"},
	// Without discovery of clouds and clusters, which is most of it.
	PromtoolProgram: {module: "e2e/promtool", pkg: "github.com/prometheus/prometheus/cmd/promtool", cgo: "0", tags: "remove_all_sd"},
	// It needs the standard library only, so whatever state e2e's go.mod is in is no matter.
	PostReceiveProgram: {module: "e2e", pkg: "./cmd/post-receive", cgo: "0", plain: true},
}

// unused is how long a build stays in the cache after its last use.
const unused = 14 * 24 * time.Hour

// Build makes sure that the named programs, or all, are in the cache, one after the
// other. A build with a cold cache takes minutes; progress, which may be nil, is told
// when one starts and, with done, when it is there. Processes that build the same wait
// for each other.
func Build(ctx context.Context, progress func(name string, done bool, took time.Duration), names ...Name) error {
	if len(names) == 0 {
		names = []Name{PostReceiveProgram, NATSProgram, NATSCLIProgram, RegistryProgram, CaddyProgram, PromtoolProgram, GiteaProgram, ClusterProgram}
	}
	if progress == nil {
		progress = func(string, bool, time.Duration) {}
	}
	for _, name := range names {
		start := time.Now()
		if _, err := build(ctx, name, func() { progress(string(name), false, 0) }); err != nil {
			return err
		}
		progress(string(name), true, time.Since(start))
	}
	return nil
}

// Program is the path of a program in the cache, where it is built if it is missing.
// Gitea has its files beside it, in a folder of that name with .assets after it.
func Program(ctx context.Context, name Name) (string, error) {
	return build(ctx, name, func() {})
}

// build returns the path of a program, which it builds where it is missing.
func build(ctx context.Context, name Name, starting func()) (string, error) {
	p, ok := programs[name]
	if !ok {
		return "", fmt.Errorf("build %s: no such program", name)
	}
	b := &builder{name: name, program: p}
	if err := b.locate(); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	if b.cached() {
		return b.path, nil
	}
	unlock, err := lock(ctx, filepath.Join(filepath.Dir(b.path), string(name)+".lock"))
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	defer unlock()
	if b.cached() {
		return b.path, nil
	}
	starting()
	if err := b.build(ctx); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	b.prune()
	return b.path, nil
}

// builder builds one program.
type builder struct {
	name    Name
	program program
	root    string
	path    string // where the program ends up
	flags   []string
}

// locate works out the path, which changes with everything that the program is made of.
func (b *builder) locate() error {
	var err error
	if b.root, err = root(); err != nil {
		return err
	}
	module := filepath.Join(b.root, b.program.module)
	gomod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	link := "-s -w"
	if b.program.ldflags != nil {
		link += " " + b.program.ldflags(string(gomod))
	}
	b.flags = []string{"-trimpath", "-buildvcs=false", "-tags", b.program.tags, "-ldflags", link}
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.program.cgo, b.flags)
	sources := filepath.Join(module, b.program.pkg)
	if !strings.HasPrefix(b.program.pkg, ".") {
		sources = module // the package is another module's: go.mod and go.sum pin it
	}
	if err := hashFiles(hash, sources); err != nil {
		return fmt.Errorf("read the sources: %w", err)
	}
	cache := os.Getenv("SLIPWAY_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache: %w", err)
		}
		cache = filepath.Join(user, "slipway")
	}
	dir := filepath.Join(cache, "parts")
	b.path = filepath.Join(dir, fmt.Sprintf("%s-%s", b.name, hex.EncodeToString(hash.Sum(nil))[:16]))
	return os.MkdirAll(dir, 0o755)
}

func hashFiles(hash io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		switch ext := filepath.Ext(path); {
		case strings.HasSuffix(path, "_test.go"):
			return nil
		case ext != ".go" && ext != ".mod" && ext != ".sum":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(hash, strings.TrimPrefix(path, dir), len(text))
		_, err = hash.Write(text)
		return err
	})
}

// cached tells whether the program is there, and notes that it is used.
func (b *builder) cached() bool {
	now := time.Now()
	return os.Chtimes(b.path, now, now) == nil
}

func (b *builder) build(ctx context.Context) error {
	temporary := fmt.Sprintf("%s.%d.tmp", b.path, os.Getpid())
	defer func() { _ = os.Remove(temporary) }()
	args := append(append([]string{"build"}, b.flags...), "-o", temporary, b.program.pkg)
	if _, err := b.run(ctx, args...); err != nil {
		return err
	}
	if b.name == GiteaProgram {
		if err := b.copyAssets(ctx); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary, b.path); err != nil {
		return fmt.Errorf("put the program into the cache: %w", err)
	}
	return nil
}

// run calls go outside of the workspace, whose versions are not the program's.
func (b *builder) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.root, b.program.module)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED="+b.program.cgo)
	if b.program.plain {
		cmd.Env = append(cmd.Env, "GO111MODULE=off")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// copyAssets puts the files that Gitea reads at run time beside the program: the
// module cache, where they come from, may be cleaned.
func (b *builder) copyAssets(ctx context.Context) error {
	source, err := b.run(ctx, "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea")
	if err != nil {
		return err
	}
	assets := b.path + ".assets"
	if err := os.RemoveAll(assets); err != nil {
		return fmt.Errorf("clear Gitea's files: %w", err)
	}
	for _, dir := range []string{"templates", "options", "public"} {
		if err := os.CopyFS(filepath.Join(assets, dir), os.DirFS(filepath.Join(source, dir))); err != nil {
			return fmt.Errorf("copy Gitea's files: %w", err)
		}
	}
	return nil
}

// prune removes builds of this program that nobody used for long; what it can't
// remove stays.
func (b *builder) prune() {
	builds, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), string(b.name)+"-*"))
	if err != nil {
		return
	}
	for _, old := range builds {
		info, err := os.Stat(old)
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > unused {
			_ = errors.Join(os.Remove(old), os.RemoveAll(old+".assets"))
		}
	}
}

var kubernetes = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes v(\d+)\.(\d+)\.(\S+)`)

// kubernetesVersion is what makes the API server and kubectl call themselves by the
// release that they are built from.
func kubernetesVersion(gomod string) string {
	v := kubernetes.FindStringSubmatch(gomod)
	if v == nil {
		return ""
	}
	const x = "-X k8s.io/component-base/version."
	return fmt.Sprintf("%[1]sgitVersion=v%[2]s.%[3]s.%[4]s %[1]sgitMajor=%[2]s %[1]sgitMinor=%[3]s %[1]sgitTreeState=clean", x, v[1], v[2], v[3])
}
