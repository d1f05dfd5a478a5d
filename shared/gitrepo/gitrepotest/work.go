package gitrepotest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Work is a person's clone of a repository. It shares the folder of objects with the
// repository: what is in one is in the other, and only refs are to be moved. Of a
// test's time most went to pushes and pulls between two folders of one machine, a
// dozen processes each; what is tested goes over HTTP or SSH, as ever.
type Work struct {
	Dir, URL, Bare string
	s              *Server
}

const (
	ofBoth = `[gc]
	auto = 0
[maintenance]
	auto = false
` // it would go on in the background, in a folder that goes away
	ofBare = `[http]
	receivepack = true
[receive]
	autogc = false
`
	ofWork = `[user]
	name = Maria
	email = maria@example.com
[remote "origin"]
	url = %s
	fetch = +refs/heads/*:refs/remotes/origin/*
`
)

// Create makes a repository whose branch main holds one commit with files.
func (s *Server) Create(name string, files map[string]string) *Work {
	s.t.Helper()
	bare := filepath.Join(s.Root, name)
	w := &Work{Dir: s.t.TempDir(), URL: s.URL + "/" + name, Bare: bare, s: s}
	s.git("", "init", "-q", "--template=", "--bare", "-b", "main", bare)
	s.git("", "init", "-q", "--template=", "-b", "main", w.Dir)
	objects := filepath.Join(w.Dir, ".git", "objects")
	if err := errors.Join(
		add(filepath.Join(bare, "config"), ofBoth+ofBare),
		add(filepath.Join(w.Dir, ".git", "config"), ofBoth+fmt.Sprintf(ofWork, bare)),
		os.Mkdir(filepath.Join(bare, "hooks"), 0o755),
		os.RemoveAll(objects), os.Symlink(filepath.Join(bare, "objects"), objects),
	); err != nil {
		s.t.Fatal(err)
	}
	w.Commit("begin", files)
	return w
}

func add(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Commit writes files (empty content deletes), commits and pushes, and gives
// the commit's id.
func (w *Work) Commit(message string, files map[string]string) string {
	w.s.t.Helper()
	for name, data := range files {
		p := filepath.Join(w.Dir, name)
		if data == "" {
			if err := os.Remove(p); err != nil {
				w.s.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			w.s.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			w.s.t.Fatal(err)
		}
	}
	w.Git("add", "-A")
	w.Git("commit", "-q", "--allow-empty", "-m", message)
	id, parent, _ := strings.Cut(w.Git("log", "-1", "--no-show-signature", "--format=%H %P"), " ")
	w.push(id, parent)
	return id
}

// push moves the repository's branch main to HEAD. Where git has more to do than to
// move it, or to refuse it, that is git's.
func (w *Work) push(id, parent string) {
	w.s.t.Helper()
	hooks, err := os.ReadDir(filepath.Join(w.Bare, "hooks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.s.t.Fatal(err)
	}
	if len(hooks) > 0 || parent != w.main() {
		w.Git("push", "-q", "origin", "HEAD:main")
		return
	}
	w.Git("--git-dir", w.Bare, "update-ref", "refs/heads/main", id, parent)
	w.track(id)
}

// Pull brings what others pushed.
func (w *Work) Pull() {
	w.s.t.Helper()
	if id := w.main(); id != "" {
		if _, err := w.s.try(w.Dir, "merge", "-q", "--ff-only", id); err == nil {
			w.track(id)
			return
		}
	}
	w.Git("pull", "-q", "--rebase", "origin", "main")
}

// main is the commit of the repository's branch main; empty where there is none yet,
// or where it isn't in a file of its own.
func (w *Work) main() string {
	data, err := os.ReadFile(filepath.Join(w.Bare, "refs", "heads", "main"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.s.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// track says what the clone knows of the repository's branch main.
func (w *Work) track(id string) {
	w.s.t.Helper()
	file := filepath.Join(w.Dir, ".git", "refs", "remotes", "origin", "main")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(id+"\n"), 0o644)); err != nil {
		w.s.t.Fatal(err)
	}
}

// Git runs git in the clone and gives its trimmed output.
func (w *Work) Git(args ...string) string {
	w.s.t.Helper()
	return w.s.git(w.Dir, args...)
}
