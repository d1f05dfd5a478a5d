package image_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-cd/slipway/e2e/image"
)

// healthcheck builds a small program for an architecture.
func healthcheck(t *testing.T, architecture string) []byte {
	t.Helper()
	return build(t, architecture, "../cmd/healthcheck")
}

func build(t *testing.T, architecture, pkg string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func spec(program []byte, architecture string) image.Spec {
	return image.Spec{
		Platform: v1.Platform{OS: "linux", Architecture: architecture}, Entrypoint: []string{"/healthcheck"}, User: image.User,
		Files: []image.File{
			{Path: "/healthcheck", Data: program, Mode: 0o755},
			{Path: "/var/lib/slipway", Dir: true, Mode: 0o700, User: image.User},
			{Path: "/bin", Link: "usr/bin"},
		},
	}
}

func TestBuiltTwiceAnImageIsTheSame(t *testing.T) {
	var digests []string
	dir := t.TempDir()
	for _, at := range []string{"a", "b"} {
		program := healthcheck(t, "amd64")
		img, err := spec(program, "amd64").Build()
		if err != nil {
			t.Fatal(err)
		}
		bom, err := image.BOM("healthcheck", program)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := image.WriteLayout(filepath.Join(dir, at), map[string]image.Built{"linux/amd64": {Image: img, BOM: bom}}); err != nil {
			t.Fatal(err)
		}
		index, err := os.ReadFile(filepath.Join(dir, at, "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, string(index))
	}
	if digests[0] != digests[1] {
		t.Errorf("built twice:\n%s\n%s", digests[0], digests[1])
	}
}

func TestAnotherProgramIsAnotherImage(t *testing.T) {
	one, err := spec([]byte("one"), "amd64").Build()
	if err != nil {
		t.Fatal(err)
	}
	two, err := spec([]byte("two"), "amd64").Build()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := one.Digest()
	b, _ := two.Digest()
	if a == b || (a == v1.Hash{}) {
		t.Errorf("two programs have the digest %s", a)
	}
}

func TestAnImageIsOneLayerOfWhatWasGiven(t *testing.T) {
	s := spec([]byte("program"), "arm64")
	img, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v), not one", len(layers), err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Architecture != "arm64" || config.OS != "linux" || !slices.Equal(config.Config.Entrypoint, []string{"/healthcheck"}) {
		t.Errorf("the config is %+v", config)
	}
	plain, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
		if h.ModTime.Unix() != 0 {
			t.Errorf("%s was made at %s", h.Name, h.ModTime)
		}
		if want := map[bool]int{true: image.User}[h.Name == "var/lib/slipway/"]; h.Uid != want || h.Gid != want {
			t.Errorf("%s belongs to %d:%d, not %d", h.Name, h.Uid, h.Gid, want)
		}
	}
	want := []string{"Lrwxrwxrwx bin", "-rwxr-xr-x healthcheck", "drwxr-xr-x var/", "drwxr-xr-x var/lib/", "drwx------ var/lib/slipway/"}
	for i := range got {
		got[i] = strings.Replace(got[i], "L---------", "Lrwxrwxrwx", 1) // a link's mode is no matter
	}
	if !slices.Equal(got, want) {
		t.Errorf("the layer has\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What an engine of this machine is given has the same id.
	loaded, err := s.Plain()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := img.ConfigName()
	b, err := loaded.ConfigName()
	if err != nil || a != b {
		t.Errorf("the id is %s compressed and %s plain (%v)", a, b, err)
	}
}

func TestFilesThatCantBeInAnImageAreRefused(t *testing.T) {
	for name, files := range map[string][]image.File{
		"relative":  {{Path: "program"}},
		"not clean": {{Path: "/a/../b"}},
		"twice":     {{Path: "/a"}, {Path: "/a"}},
	} {
		if _, err := (image.Spec{Files: files}).Build(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestALayoutHasEachPlatformWithItsBillOfMaterials(t *testing.T) {
	builds := map[string]image.Built{}
	for _, architecture := range []string{"amd64", "arm64"} {
		program := healthcheck(t, architecture)
		img, err := spec(program, architecture).Build()
		if err != nil {
			t.Fatal(err)
		}
		bom, err := image.BOM("healthcheck", program)
		if err != nil {
			t.Fatal(err)
		}
		builds["linux/"+architecture] = image.Built{Image: img, BOM: bom}
	}
	dir := filepath.Join(t.TempDir(), "healthcheck")
	digest, err := image.WriteLayout(dir, builds)
	if err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 3 {
		t.Fatalf("the layout has %d entries (%v), not the index and two bills", len(manifest.Manifests), err)
	}
	if manifest.Manifests[0].Digest != digest {
		t.Errorf("the first entry is %s, not the index %s", manifest.Manifests[0].Digest, digest)
	}
	for i, platform := range []string{"linux/amd64", "linux/arm64"} {
		checkReferrer(t, index, manifest.Manifests[i+1].Digest, builds[platform])
	}
}

func checkReferrer(t *testing.T, index v1.ImageIndex, digest v1.Hash, of image.Built) {
	t.Helper()
	artifact, err := index.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := artifact.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := of.Image.Digest()
	if err != nil || m.Subject == nil || m.Subject.Digest != want {
		t.Errorf("the bill refers to %v, not %s (%v)", m.Subject, want, err)
	}
	if m.Config.MediaType != image.SPDX || len(m.Layers) != 1 || m.Layers[0].MediaType != image.SPDX {
		t.Errorf("the artifact is %+v", m)
	}
}

func TestABillOfMaterialsNamesWhatIsLinked(t *testing.T) {
	program := build(t, runtime.GOARCH, "github.com/slipway-cd/slipway/services/git-receiver/cmd/git-receiver")
	bom, err := image.BOM("test", program)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		SPDXVersion string
		Packages    []struct {
			Name, VersionInfo, SPDXID string
			ExternalRefs              []struct{ ReferenceLocator string }
		}
		Relationships []struct{ SpdxElementID, RelationshipType, RelatedSpdxElement string }
	}
	if err := json.Unmarshal(bom, &d); err != nil {
		t.Fatal(err)
	}
	byName := map[string]string{}
	ids := map[string]bool{}
	for _, p := range d.Packages {
		byName[p.Name] = p.ExternalRefs[0].ReferenceLocator
		if ids[p.SPDXID] {
			t.Errorf("%s is there twice", p.SPDXID)
		}
		ids[p.SPDXID] = true
	}
	if len(d.Relationships) != len(d.Packages) {
		t.Errorf("%d relationships of %d packages", len(d.Relationships), len(d.Packages))
	}
	if got := byName["github.com/nats-io/nats.go"]; !strings.HasPrefix(got, "pkg:golang/github.com/nats-io/nats.go@v") {
		t.Errorf("nats.go is %q", got)
	}
	if got := byName["github.com/slipway-cd/slipway/shared"]; got != "pkg:golang/github.com/slipway-cd/slipway/shared" {
		t.Errorf("our own module, which has no version, is %q", got)
	}
	if got := byName["std"]; !strings.HasPrefix(got, "pkg:golang/std@1.") {
		t.Errorf("the standard library is %q", got)
	}
	if _, err := image.BOM("text", []byte("no program")); err == nil {
		t.Error("a text has a bill of materials")
	}
}

func TestProgramsOfThisMachineComeWithTheirLibraries(t *testing.T) {
	files, err := image.FromMachine("git", "sh")
	if err != nil {
		t.Fatal(err)
	}
	var libc, linker, git bool
	for _, f := range files {
		git = git || f.Path == "/usr/bin/git"
		libc = libc || strings.Contains(f.Path, "libc.so.")
		linker = linker || strings.Contains(filepath.Base(f.Path), "ld-linux")
		if len(f.Data) == 0 {
			t.Errorf("%s is empty", f.Path)
		}
	}
	if !git || !libc || !linker {
		t.Errorf("git %t, libc %t, linker %t", git, libc, linker)
	}
	if _, err := image.FromMachine("no-such-program"); err == nil {
		t.Error("a program that isn't there was taken")
	}
}
