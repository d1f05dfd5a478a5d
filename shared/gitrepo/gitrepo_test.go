package gitrepo_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func open(t *testing.T, url string) *gitrepo.Mirror {
	t.Helper()
	m, err := gitrepo.Open(t.Context(), gitrepo.Options{URL: url, Branch: "main", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fetch(t *testing.T, m *gitrepo.Mirror) *gitrepo.Commit {
	t.Helper()
	c, err := m.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func change(files map[string]string) gitrepo.Change {
	c := gitrepo.Change{Message: "slipway: test\n", Name: "Slipway", Email: "s@example.com", When: time.Unix(1_700_000_000, 0), Files: map[string][]byte{}}
	for p, data := range files {
		if data == "" {
			c.Files[p] = nil
			continue
		}
		c.Files[p] = []byte(data)
	}
	return c
}

func TestFilesOfACommitAreAWholeFileSystem(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{
		"apps/web/a.yaml": "a: 1\n", "apps/web/b.yaml": "b: 1\n", "README.md": "hello\n",
	})
	fsys := fetch(t, open(t, w.URL)).FS()
	if err := fstest.TestFS(fsys, "apps/web/a.yaml", "apps/web/b.yaml", "README.md"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(w.Dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	w.Commit("a link", nil)
	fsys = fetch(t, open(t, w.URL)).FS()
	if _, err := fs.ReadFile(fsys, "link.yaml"); !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("reading a symbolic link: %v, want fs.ErrInvalid", err)
	}
	if _, err := fs.ReadFile(fsys, "apps/none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reading what is not there: %v, want fs.ErrNotExist", err)
	}
}

func TestPushChangesOnlyTheNamedFiles(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{
		"apps/web/a.yaml": "a: 1\n", "apps/api/b.yaml": "b: 1\n", "gone.yaml": "x\n", "run.sh": "#!/bin/sh\n",
	})
	if err := os.Chmod(filepath.Join(w.Dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.Git("commit", "-q", "-am", "executable")
	w.Git("push", "-q", "origin", "HEAD:main")
	m := open(t, w.URL)
	made, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{
		"apps/web/a.yaml": "a: 2\n", "gone.yaml": "", "new/deep/c.yaml": "c: 1\n", "run.sh": "#!/bin/sh\ntrue\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	w.Pull()
	if got := w.Git("rev-parse", "HEAD"); got != made.Hash() {
		t.Fatalf("branch is at %s, want %s", got, made.Hash())
	}
	want := "M\tapps/web/a.yaml\nD\tgone.yaml\nA\tnew/deep/c.yaml\nM\trun.sh"
	if got := w.Git("diff", "--name-status", "HEAD~1", "HEAD"); got != want {
		t.Fatalf("changed:\n%s\nwant:\n%s", got, want)
	}
	w.Git("fsck", "--strict")
	if got := w.Git("ls-files", "-s", "run.sh"); !strings.HasPrefix(got, "100755") {
		t.Fatalf("run.sh lost its mode: %s", got)
	}
	if m.Head().Hash() != made.Hash() {
		t.Fatal("the mirror doesn't know its own push")
	}
}

func TestPushOnAMovedBranchLosesNothing(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	base := fetch(t, m)
	theirs := w.Commit("a person was faster", map[string]string{"b.yaml": "b: 1\n"})
	_, err := m.Push(t.Context(), base, change(map[string]string{"a.yaml": "a: 2\n"}))
	if !errors.Is(err, gitrepo.ErrMoved) {
		t.Fatalf("push on a moved branch: %v, want ErrMoved", err)
	}
	head := fetch(t, m)
	if head.Hash() != theirs {
		t.Fatalf("head is %s, want the person's %s", head.Hash(), theirs)
	}
	if _, err := m.Push(t.Context(), head, change(map[string]string{"a.yaml": "a: 2\n"})); err != nil {
		t.Fatal(err)
	}
}

func TestARefusalCarriesTheHostsWords(t *testing.T) {
	for name, hook := range map[string]string{
		"pre-receive": "#!/bin/sh\necho 'branch is protected: ask maria' >&2\nexit 1\n",
		"update":      "#!/bin/sh\necho \"GH006: $1 is protected: \" >&2; echo 'ask maria' >&2\nexit 1\n",
		// A host may not make us believe that the branch has moved.
		"words": "#!/bin/sh\necho 'fetch first, or ask maria' >&2\nexit 1\n",
		"much":  "#!/bin/sh\necho 'ask maria' >&2\nyes | head -c 1000000 >&2\nexit 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
			file := "pre-receive"
			if name == "update" {
				file = name
			}
			if err := os.WriteFile(filepath.Join(w.Bare, "hooks", file), []byte(hook), 0o755); err != nil {
				t.Fatal(err)
			}
			m := open(t, w.URL)
			_, err := m.Push(t.Context(), fetch(t, m), change(map[string]string{"a.yaml": "a: 2\n"}))
			if !errors.Is(err, gitrepo.ErrRefused) || errors.Is(err, gitrepo.ErrMoved) || !strings.Contains(err.Error(), "ask maria") {
				t.Fatalf("push refused by a hook: %v, want ErrRefused with the hook's words", err)
			}
			if len(err.Error()) > 8<<10 {
				t.Fatalf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestHistoryIsFetchedWhenItIsAskedFor(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 0\n"})
	first := w.Git("rev-parse", "HEAD")
	for i := range 60 {
		w.Commit(fmt.Sprintf("change %d", i), map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", i+1)})
	}
	m := open(t, w.URL)
	head := fetch(t, m)
	commits, err := m.Between(t.Context(), first, head.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if len(commits) != 60 || commits[0].Message() != "change 0\n" || commits[59].Hash() != head.Hash() {
		t.Fatalf("got %d commits, want 60 from change 0 to the head", len(commits))
	}
	for id, want := range map[string]bool{first: true, head.Hash(): true, strings.Repeat("1", 40): false} {
		if got, err := m.Contains(t.Context(), head, id); err != nil || got != want {
			t.Errorf("contains %s: %v, %v, want %v", id, got, err, want)
		}
	}
	w.Git("checkout", "-q", "-B", "main", first)
	w.Git("commit", "-q", "--allow-empty", "-m", "forced")
	w.Git("push", "-q", "-f", "origin", "HEAD:main")
	forced := fetch(t, m)
	since, err := m.Between(t.Context(), head.Hash(), forced.Hash())
	if !errors.Is(err, gitrepo.ErrGap) || len(since) != 1 || since[0].Hash() != forced.Hash() {
		t.Fatalf("between a dropped commit and the new head: %d commits and %v, want the one since they parted, and ErrGap", len(since), err)
	}
	if back, err := m.Between(t.Context(), forced.Hash(), first); !errors.Is(err, gitrepo.ErrGap) || len(back) != 0 {
		t.Fatalf("between a dropped commit and one behind it: %d commits and %v, want none, and ErrGap", len(back), err)
	}
}

// A mirror that was killed as it wrote down where the branch is, or where its history ends,
// has objects, and not all that lie between them.
func TestAMirrorThatLostItsPlaceFindsWhatIsBetween(t *testing.T) {
	const branch, end = "refs/heads/main", "shallow"
	for name, lost := range map[string][]string{"the branch": {branch}, "the end of its history": {end}, "both": {branch, end}} {
		t.Run(name, func(t *testing.T) {
			w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 0\n"})
			first := w.Git("rev-parse", "HEAD")
			for i := range 3 {
				w.Commit(fmt.Sprintf("former %d", i), map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", -i)})
			}
			dir := t.TempDir()
			reopen := func() *gitrepo.Mirror {
				m, err := gitrepo.Open(t.Context(), gitrepo.Options{URL: w.URL, Branch: "main", Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			had := fetch(t, reopen()).Hash()
			for i := range 3 {
				w.Commit(fmt.Sprintf("change %d", i), map[string]string{"a.yaml": fmt.Sprintf("a: %d\n", i+1)})
			}
			for _, file := range lost {
				if err := os.Truncate(filepath.Join(dir, file), 0); err != nil {
					t.Fatal(err)
				}
			}
			m := reopen()
			for from, want := range map[string]int{had: 3, first: 6} {
				commits, err := m.Between(t.Context(), from, fetch(t, m).Hash())
				if err != nil && !errors.Is(err, gitrepo.ErrGap) { // it finds out, and is fetched anew
					commits, err = m.Between(t.Context(), from, fetch(t, m).Hash())
				}
				if err != nil || len(commits) != want {
					t.Fatalf("from %.10s to the head there are %d commits (%v), want %d", from, len(commits), err, want)
				}
			}
		})
	}
}

func TestChangedPathsAreThoseThatDiffer(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a/x.yaml": "1\n", "a/y.yaml": "1\n", "b": "1\n"})
	m := open(t, w.URL)
	from := fetch(t, m)
	w.Commit("folder for file", map[string]string{"b": "", "a/y.yaml": "2\n", "c/new.yaml": "1\n"})
	to := fetch(t, m)
	got, err := m.ChangedPaths(t.Context(), from.Hash(), to.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[a/y.yaml b c/new.yaml]" {
		t.Fatalf("changed paths: %v", got)
	}
	same, _ := from.TreeHash("a/x.yaml")
	again, _ := to.TreeHash("a/x.yaml")
	gone, _ := to.TreeHash("b")
	if same == "" || same != again || gone != "" {
		t.Fatalf("tree hashes: %q, %q, %q", same, again, gone)
	}
}

func TestADamagedMirrorIsFetchedAnew(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	dir := t.TempDir()
	o := gitrepo.Options{URL: w.URL, Branch: "main", Dir: dir}
	m, err := gitrepo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, m)
	packs, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs in the mirror: %v", err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	again, err := gitrepo.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := fs.ReadFile(fetch(t, again).FS(), "a.yaml"); err != nil || string(data) != "a: 1\n" {
		t.Fatalf("after repair: %q, %v", data, err)
	}
}

func TestWhatTheHostRefusesIsSaidClearly(t *testing.T) {
	s := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "s3cret" {
				w.Header().Set("WWW-Authenticate", "Basic")
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	for name, c := range map[string]struct {
		o    gitrepo.Options
		want error
	}{
		"no credentials":    {gitrepo.Options{URL: w.URL, Branch: "main"}, gitrepo.ErrUnauthorized},
		"wrong credentials": {gitrepo.Options{URL: w.URL, Branch: "main", Password: "wr0ng"}, gitrepo.ErrUnauthorized},
		"right credentials": {gitrepo.Options{URL: w.URL, Branch: "main", Password: "s3cret"}, nil},
		"unknown branch":    {gitrepo.Options{URL: w.URL, Branch: "none", Password: "s3cret"}, gitrepo.ErrNoBranch},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Dir = t.TempDir()
			m, err := gitrepo.Open(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Fetch(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("fetch: %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "wr0ng") {
				t.Fatalf("the error holds the password: %v", err)
			}
		})
	}
}

func BenchmarkFetchNothing(b *testing.B) {
	w := gitrepotest.Start(b, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m, err := gitrepo.Open(b.Context(), gitrepo.Options{URL: w.URL, Branch: "main", Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := m.Fetch(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommitAndPushOneFileOf10000(b *testing.B) {
	files := map[string]string{}
	for i := range 10_000 {
		files[fmt.Sprintf("apps/app-%d/%d.yaml", i/10, i%10)] = fmt.Sprintf("a: %d\n", i)
	}
	w := gitrepotest.Start(b, nil).Create("acme/config.git", files)
	m, err := gitrepo.Open(b.Context(), gitrepo.Options{URL: w.URL, Branch: "main", Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	head, err := m.Fetch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		i++
		head, err = m.Push(b.Context(), head, change(map[string]string{"apps/app-77/7.yaml": fmt.Sprintf("a: x%d\n", i)}))
		if err != nil {
			b.Fatal(err)
		}
	}
}
