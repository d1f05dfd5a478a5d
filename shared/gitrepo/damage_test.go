package gitrepo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func glob(t *testing.T, dir string, pattern ...string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(append([]string{dir}, pattern...)...))
	if err != nil || len(all) == 0 {
		t.Fatalf("nothing is like %v: %v", pattern, err)
	}
	return all
}

// write replaces a file, whoever may write it.
func write(t *testing.T, file string, data []byte) {
	t.Helper()
	_ = os.Remove(file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, file string, part int) {
	t.Helper()
	data := read(t, file)
	write(t, file, data[:len(data)/part])
}

// damages are what may befall a mirror's folder.
var damages = map[string]func(t *testing.T, dir string){
	"nothing":          func(*testing.T, string) {},
	"folder is gone":   func(t *testing.T, dir string) { t.Helper(); must(t, os.RemoveAll(dir)) },
	"folder is a file": func(t *testing.T, dir string) { t.Helper(); must(t, os.RemoveAll(dir)); write(t, dir, []byte("x")) },
	"pack is cut":      halved("objects", "pack", "*.pack"),
	"pack is empty": func(t *testing.T, dir string) {
		t.Helper()
		for _, p := range glob(t, dir, "objects", "pack", "*.pack") {
			write(t, p, nil)
		}
	},
	"pack is overwritten": func(t *testing.T, dir string) {
		t.Helper()
		for _, p := range glob(t, dir, "objects", "pack", "*.pack") {
			data := read(t, p)
			write(t, p, append(data[:12:12], bytes.Repeat([]byte{0xa5}, len(data)-12)...))
		}
	},
	"packs are gone":         removed("objects", "pack", "*.pack"),
	"index is cut":           halved("objects", "pack", "*.idx"),
	"index is gone":          removed("objects", "pack", "*.idx"),
	"loose objects are gone": removed("objects", "??", "*"),
	"loose objects are cut":  halved("objects", "??", "*"),
	"ref is gone":            func(t *testing.T, dir string) { t.Helper(); must(t, os.Remove(filepath.Join(dir, "refs/heads/main"))) },
	"ref is nonsense": func(t *testing.T, dir string) {
		t.Helper()
		write(t, filepath.Join(dir, "refs/heads/main"), []byte("nonsense\n"))
	},
	"ref is empty": func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "refs/heads/main"), nil) },
	"ref is a folder": func(t *testing.T, dir string) {
		t.Helper()
		must(t, os.Remove(filepath.Join(dir, "refs/heads/main")))
		write(t, filepath.Join(dir, "refs/heads/main/x"), []byte("x"))
	},
	"ref is of elsewhere": func(t *testing.T, dir string) {
		t.Helper()
		write(t, filepath.Join(dir, "refs/heads/main"), []byte(strings.Repeat("1", 40)+"\n"))
	},
	"shallow is nonsense": func(t *testing.T, dir string) {
		t.Helper()
		write(t, filepath.Join(dir, "shallow"), []byte("nonsense\n"))
	},
	"shallow is gone":    func(t *testing.T, dir string) { t.Helper(); _ = os.Remove(filepath.Join(dir, "shallow")) },
	"HEAD is nonsense":   func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "HEAD"), []byte{0xff}) },
	"config is nonsense": func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "config"), []byte("[[[")) },
	"foreign files": func(t *testing.T, dir string) {
		t.Helper()
		for _, p := range []string{"README", "refs/heads/.lock", "objects/pack/pack-foreign.pack", "objects/pack/tmp_pack_1", "objects/zz/x", "objects/00/x", "packed-refs"} {
			write(t, filepath.Join(dir, p), []byte("foreign\n"))
		}
	},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wanted are the files that the mirror must have in the end.
var wanted = map[string]string{"a.yaml": "a: 2\n", "b/c.yaml": "c: 1\n", "b/d/e.yaml": "e: 1\n"}

// readAll reads a commit's files; each must be right or give an error.
func readAll(t *testing.T, c *gitrepo.Commit) error {
	t.Helper()
	var faults []error
	for name, want := range wanted {
		data, err := fs.ReadFile(c.FS(), name)
		if err == nil && string(data) != want {
			t.Fatalf("%s reads as %q without an error", name, data)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// prepared is a repository and a mirror of it with packs and loose objects:
// one commit was fetched, one pushed, one more fetched.
type prepared struct {
	server    *gitrepotest.Server
	bare, dir string
}

func prepare(t *testing.T) prepared {
	t.Helper()
	s := gitrepotest.Start(t, nil)
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n", "b/c.yaml": "c: 0\n", "b/d/e.yaml": "e: 1\n"})
	dir := filepath.Join(t.TempDir(), "mirror")
	m := openWith(t, gitrepo.Options{URL: w.URL, Branch: "main", Dir: dir})
	if _, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"})); err != nil {
		t.Fatal(err)
	}
	w.Pull()
	w.Commit("more", map[string]string{"b/c.yaml": "c: 1\n"})
	fetch(t, m)
	return prepared{s, w.Bare, dir}
}

// copied is one repository of its own with its mirror, for one damage.
func (p prepared) copied(t *testing.T) (bare string, o gitrepo.Options) {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	bare, dir := filepath.Join(p.server.Root, name), filepath.Join(t.TempDir(), "mirror")
	must(t, os.CopyFS(bare, os.DirFS(p.bare)))
	must(t, os.CopyFS(dir, os.DirFS(p.dir)))
	return bare, gitrepo.Options{URL: p.server.URL + "/" + name, Branch: "main", Dir: dir}
}

func TestADamagedMirrorIsRepairedByOpeningAndReading(t *testing.T) {
	p := prepare(t)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bare, o := p.copied(t)
			damage(t, o.Dir)
			repaired(t, bare, openWith(t, o))
		})
	}
}

func TestADamagedMirrorIsRepairedWhileItIsOpen(t *testing.T) {
	p := prepare(t)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bare, o := p.copied(t)
			m := openWith(t, o)
			if _, err := fs.ReadFile(fetch(t, m).FS(), "a.yaml"); err != nil {
				t.Fatal(err)
			}
			damage(t, o.Dir)
			repaired(t, bare, m)
		})
	}
}

// repaired demands that fetching and reading, at most twice over, gives all
// files, that a push then works, and that nothing got lost by it.
func repaired(t *testing.T, bare string, m *gitrepo.Mirror) {
	t.Helper()
	var head *gitrepo.Commit
	var err error
	for range 2 {
		if head, err = m.Fetch(t.Context()); err == nil {
			if err = readAll(t, head); err == nil {
				break
			}
		}
	}
	if err != nil {
		t.Fatalf("the mirror is not repaired: %v", err)
	}
	made, err := m.Push(t.Context(), head, change(map[string]string{"b/new.yaml": "n: 1\n"}))
	if err != nil {
		t.Fatal(err)
	}
	pushed(t, bare, "A\tb/new.yaml")
	if got := fetch(t, m).Hash(); got != made.Hash() {
		t.Fatalf("head is %s, want %s", got, made.Hash())
	}
}

// pushed demands that the last commit did that, and that all of it is there.
func pushed(t *testing.T, bare, want string) {
	t.Helper()
	run(t, "", "git", "-C", bare, "fsck", "--strict")
	if got := run(t, "", "git", "-C", bare, "diff", "--name-status", "main~1", "main"); strings.TrimSpace(got) != want {
		t.Fatalf("the push changed:\n%s", got)
	}
}

func TestAPushOnADamagedMirrorLosesNoFiles(t *testing.T) {
	p := prepare(t)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bare, o := p.copied(t)
			m := openWith(t, o)
			head := m.Head()
			damage(t, o.Dir)
			if _, err := m.Push(t.Context(), head, change(map[string]string{"b/d/new.yaml": "n: 1\n"})); err != nil {
				return // fetched anew, as above
			}
			pushed(t, bare, "A\tb/d/new.yaml")
		})
	}
}

func TestAMirrorStaysSmall(t *testing.T) {
	s := gitrepotest.Start(t, nil)
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	var stream strings.Builder
	for i := range 3000 { // each with an image's worth of noise that can't be packed away
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter M <m@example.com> %d +0000\ndata 1\nx\n", 1_700_000_000+i)
		if i == 0 {
			fmt.Fprintf(&stream, "from %s\n", w.Git("rev-parse", "HEAD"))
			for j := range 1000 {
				fmt.Fprintf(&stream, "M 100644 inline apps/%d/%d.yaml\ndata 5\na: 1\n\n", j/10, j)
			}
		}
		text := fmt.Sprintf("digest: %x\n", bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i * 7)}, 100))
		fmt.Fprintf(&stream, "M 100644 inline apps/%d/x.yaml\ndata %d\n%s\n", i%100, len(text), text)
	}
	run(t, stream.String(), "git", "-C", w.Bare, "fast-import", "--quiet")
	dir := filepath.Join(t.TempDir(), "mirror")
	m := openWith(t, gitrepo.Options{URL: w.URL, Branch: "main", Dir: dir})
	head := fetch(t, m)
	fetched := size(t, dir)
	if all := size(t, w.Bare); fetched > all/4 {
		t.Errorf("the mirror has %d bytes of the repository's %d; only the head was wanted", fetched, all)
	}
	for i := range 220 { // more than one generation of the mirror
		var err error
		if head, err = m.Push(t.Context(), head, change(map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", i)})); err != nil {
			t.Fatal(err)
		}
		if i == 100 {
			w.Git("fetch", "-q", "origin")
			w.Git("reset", "-q", "--hard", "origin/main")
			w.Commit("theirs", map[string]string{"b.yaml": "b: 1\n"})
		}
		if i%10 == 0 {
			head = fetch(t, m)
		}
	}
	if now := size(t, dir); now > 20*fetched || now > 16<<20 {
		t.Errorf("the mirror grew from %d to %d bytes", fetched, now)
	}
}

func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	}))
	return sum
}

// removed takes away each file that the pattern of a path finds.
func removed(pattern ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, p := range glob(t, dir, pattern...) {
			must(t, os.Remove(p))
		}
	}
}

// halved cuts each file that the pattern of a path finds.
func halved(pattern ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, p := range glob(t, dir, pattern...) {
			cut(t, p, 2)
		}
	}
}
