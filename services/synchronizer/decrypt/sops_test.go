package decrypt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}

// sopsTool is the path of the real sops, built once into the cache by a module
// of its own.
var sopsTool = sync.OnceValues(func() (string, error) {
	module := filepath.Join("testdata", "sops")
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, name))
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
	tool := filepath.Join(cache, "parts", "sops-"+hex.EncodeToString(hash.Sum(nil))[:16])
	if _, err := os.Stat(tool); err == nil {
		return tool, nil
	}
	if err := os.MkdirAll(filepath.Dir(tool), 0o755); err != nil {
		return "", err
	}
	temporary := fmt.Sprintf("%s.%d.tmp", tool, os.Getpid())
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", temporary, "github.com/getsops/sops/v3/cmd/sops")
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sops: %w\n%s", err, out)
	}
	return tool, os.Rename(temporary, tool)
})

// workshop is a folder with the keys of a person who uses sops.
type workshop struct {
	t    testing.TB
	dir  string
	age  *age.X25519Identity
	more *age.X25519Identity
	pgp  *openpgp.Entity
}

func newWorkshop(t testing.TB) workshop {
	t.Helper()
	w := workshop{t: t, dir: t.TempDir()}
	var err [3]error
	w.age, err[0] = age.GenerateX25519Identity()
	w.more, err[1] = age.GenerateX25519Identity()
	w.pgp, err[2] = openpgp.NewEntity("maria", "", "maria@example.com", nil)
	for _, e := range err {
		if e != nil {
			t.Fatal(e)
		}
	}
	// The ring that sops finds without gpg.
	var ring bytes.Buffer
	if err := w.pgp.Serialize(&ring); err != nil {
		t.Fatal(err)
	}
	w.put("pubring.gpg", ring.String())
	w.put("keys.txt", w.age.String()+"\n"+w.more.String()+"\n")
	return w
}

func (w workshop) put(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w workshop) fingerprint() string { return fmt.Sprintf("%X", w.pgp.PrimaryKey.Fingerprint) }

// secretKey is the armored private key, as gpg exports it.
func (w workshop) secretKey() []byte {
	w.t.Helper()
	var text bytes.Buffer
	out, err := armor.Encode(&text, openpgp.PrivateKeyType, nil)
	if err == nil {
		if err = w.pgp.SerializePrivateWithoutSigning(out, nil); err == nil {
			err = out.Close()
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return text.Bytes()
}

// sops runs the real one and gives what it prints.
func (w workshop) sops(args ...string) []byte {
	w.t.Helper()
	tool, err := sopsTool()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), tool, args...)
	cmd.Dir = w.dir
	cmd.Env = []string{"HOME=" + w.dir, "GNUPGHOME=" + w.dir, "SOPS_AGE_KEY_FILE=" + filepath.Join(w.dir, "keys.txt"), "PATH=/nonexistent"}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("sops %q: %v: %s", args, err, complaint.String())
	}
	return out.Bytes()
}

// encrypt encrypts a text as the file of a name, for one's own age key or as
// told.
func (w workshop) encrypt(name, text string, args ...string) string {
	w.t.Helper()
	w.put(name, text)
	if len(args) == 0 {
		args = []string{"--age", w.age.Recipient().String()}
	}
	command := append([]string{"encrypt"}, args...)
	if args[0] == "--config" {
		command = append(slices.Clone(args), "encrypt") // it is a flag of sops itself
	}
	return string(w.sops(append(command, name)...))
}

// flags are those by which people encrypt a file: of manifests the values
// alone.
func (w workshop) flags(name string) []string {
	flags := []string{"--age", w.age.Recipient().String()}
	if name == "a.yaml" || name == "patch.yaml" {
		flags = append(flags, "--encrypted-regex", "^(data|stringData)$")
	}
	return flags
}
