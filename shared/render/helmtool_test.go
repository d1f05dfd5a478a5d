package render_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}

// The paths of the real tools.
var (
	helmTool      = sync.OnceValues(func() (string, error) { return buildTool("helm", "helm.sh/helm/v4/cmd/helm") })
	kustomizeTool = sync.OnceValues(func() (string, error) {
		return buildTool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5")
	})
)

// buildTool builds a tool once into the cache, by a module of its own.
func buildTool(name, program string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join("testdata", name, file))
		if err != nil {
			return "", err
		}
		hash.Write(data)
	}
	cache := os.Getenv("SLIPWAY_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "slipway")
	}
	tool := filepath.Join(cache, "parts", name+"-"+hex.EncodeToString(hash.Sum(nil))[:16])
	if _, err := os.Stat(tool); err == nil {
		return tool, nil
	}
	if err := os.MkdirAll(filepath.Dir(tool), 0o755); err != nil {
		return "", err
	}
	temporary := fmt.Sprintf("%s.%d.tmp", tool, os.Getpid())
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", temporary, program)
	build.Dir = filepath.Join("testdata", name)
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return tool, os.Rename(temporary, tool)
}

// helm runs the real helm on a repository, in a home without settings.
func helm(t testing.TB, files fstest.MapFS, args ...string) (stdout string, err error) {
	t.Helper()
	tool, err := helmTool()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, files, root)
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Dir = root
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

func write(t testing.TB, files fstest.MapFS, root string) {
	t.Helper()
	for name, f := range files {
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// starter is what `helm create` makes.
func starter(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	tool, err := helmTool()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool, "create", name)
	cmd.Dir = root
	cmd.Env = []string{"HOME=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("helm create: %v: %s", err, out)
	}
	return read(t, os.DirFS(root))
}

// read takes a folder into memory.
func read(t testing.TB, fsys fs.FS) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		files[name] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
