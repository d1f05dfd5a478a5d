package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/layout"
)

// What go says is kept by the test cache by go's own view of files: run this
// with -count=1, as make test does.

func TestLayoutImportsFollowTheTable(t *testing.T) {
	report(t, layout.Imports(packages(t)))
}

func TestLayoutEachPackageHasOneComment(t *testing.T) {
	top := root(t)
	report(t, layout.Comments(os.DirFS(top), packages(t), func(p layout.Package) string {
		dir, err := filepath.Rel(top, p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(dir)
	}))
}

func TestLayoutSiblingsAreInGoMod(t *testing.T) {
	report(t, layout.Siblings(packages(t), gomods(t)))
}

func TestLayoutDependenciesHaveOneVersion(t *testing.T) {
	report(t, layout.Versions(gomods(t)))
}

func TestLayoutReceiversAndContractLinkNoKubernetes(t *testing.T) {
	for _, p := range []string{"events", "shared/webhook", "services/registry-receiver", "services/git-receiver"} {
		deps := strings.Fields(goTool(t, "list", "-deps", layout.Module+p))
		report(t, layout.Links(p, deps, "k8s.io/", "sigs.k8s.io/", "github.com/go-git/"))
	}
}

// Signing in to clouds and Sigstore weigh 11 MB, of which only who asks
// registries for much has a use.
func TestLayoutReceiversAndTheClientOfRegistriesLinkNoCloud(t *testing.T) {
	for _, p := range []string{"shared/registry", "services/registry-receiver", "services/git-receiver"} {
		deps := strings.Fields(goTool(t, "list", "-deps", layout.Module+p))
		report(t, layout.Links(p, deps, "github.com/sigstore/", "github.com/aws/", "github.com/Azure/"))
	}
}

func TestLayoutServicesHaveTheirShapeAndNames(t *testing.T) {
	report(t, layout.Services(os.DirFS(root(t))))
}

func TestLayoutComposeRunsEverywhere(t *testing.T) {
	report(t, layout.Compose(os.DirFS(root(t))))
}

func TestLayoutEachModuleHasAReadme(t *testing.T) {
	for dir := range strings.SplitSeq(strings.TrimSpace(goTool(t, "list", "-m", "-f", "{{.Dir}}")), "\n") {
		if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
			t.Error(err)
		}
	}
}

func TestLayoutLinksAreLive(t *testing.T) {
	report(t, layout.LiveLinks(os.DirFS(root(t))))
}

func TestLayoutFilesAreShortAndRegisterNothing(t *testing.T) {
	report(t, layout.GoFiles(os.DirFS(root(t))))
}

func TestLayoutTopLevelHasOnlyWhatBelongsThere(t *testing.T) {
	report(t, layout.TopLevel(os.DirFS(root(t))))
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// root is the folder of the workspace.
func root(t *testing.T) string {
	t.Helper()
	return filepath.Dir(strings.TrimSpace(goTool(t, "env", "GOWORK")))
}

// packages are those of the workspace, as go sees them.
func packages(t *testing.T) []layout.Package {
	t.Helper()
	out := goTool(t, "list", "-json=ImportPath,Name,Dir,GoFiles,Imports,TestImports,XTestImports", "work")
	var all []layout.Package
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Name, Dir                       string
			GoFiles, Imports, TestImports, XTestImports []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, layout.Package{
			Path: p.ImportPath, Name: p.Name, Dir: p.Dir, Files: p.GoFiles,
			Imports: p.Imports, TestImports: append(p.TestImports, p.XTestImports...),
		})
	}
	if len(all) < 20 {
		t.Fatalf("go list gives only %d packages: this test would prove nothing", len(all))
	}
	return all
}

// gomods are the go.mod files of the workspace, by the module's folder.
func gomods(t *testing.T) map[string]layout.GoMod {
	t.Helper()
	all := map[string]layout.GoMod{}
	for dir := range strings.SplitSeq(strings.TrimSpace(goTool(t, "list", "-m", "-f", "{{.Dir}}")), "\n") {
		var mod struct {
			Module  struct{ Path string }
			Require []struct{ Path, Version string }
			Replace []struct{ Old struct{ Path string } }
		}
		if err := json.Unmarshal([]byte(goTool(t, "mod", "edit", "-json", filepath.Join(dir, "go.mod"))), &mod); err != nil {
			t.Fatal(err)
		}
		m := layout.GoMod{Require: map[string]string{}}
		for _, r := range mod.Require {
			m.Require[r.Path] = r.Version
		}
		for _, r := range mod.Replace {
			m.Replace = append(m.Replace, r.Old.Path)
		}
		all[strings.TrimPrefix(mod.Module.Path, layout.Module)] = m
	}
	return all
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
