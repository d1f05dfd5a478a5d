package promote

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/freeze"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

// lintDocument is one of our documents.
type lintDocument struct {
	api.Document
	// patch says that a kustomization lays the file over others: what it leaves
	// out is there.
	patch bool
}

// lintBroken is a file of which not all could be taken.
type lintBroken struct {
	file string
	err  error
	text []byte
}

// template says whether a fault at a line is in what a template engine is to
// fill in, or the whole file can't be read before that.
func (b lintBroken) template(line int, whole bool) bool {
	for l := range bytes.Lines(b.text) {
		if line--; (line == 0 || whole) && bytes.Contains(l, []byte("{{")) {
			return true
		}
	}
	return false
}

// mends say what to do about a document that can't be taken, by kind.
var mends = map[string]string{
	"Application":      "mend it: until then it isn't synced as written, and nothing is deployed to it",
	"DeploymentPolicy": "mend it: until then every application that its file may speak for is blocked",
	"Hold":             "mend it: until then its application is blocked",
	"Project":          "mend it: until then the cluster refuses it, and what it was to forbid or allow stays as it is",
}

const mend = "mend it: until then it is not taken"

// readDocuments reads our documents below the tree's folder.
func (t *lintTree) readDocuments() error {
	t.texts = texts{}
	patches := map[string]bool{}
	var files []string
	err := fs.WalkDir(t.FS, cmp.Or(t.Below, "."), func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read %s: %w", path.Join(t.Name, name), err)
		case e.IsDir() && t.passed(name):
			return fs.SkipDir
		case e.Type().IsRegular() && slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	ours := map[string][]byte{}
	for _, file := range files {
		data, err := fs.ReadFile(t.FS, file)
		if err != nil {
			return fmt.Errorf("read %s: %w", path.Join(t.Name, file), err)
		}
		if strings.HasPrefix(path.Base(file), "kustomization.") {
			addPatches(patches, file, data)
		}
		if bytes.Contains(data, []byte(api.Group)) {
			ours[file] = data
		}
	}
	for _, file := range files {
		data, is := ours[file]
		if !is {
			continue
		}
		t.texts.add(file, data)
		docs, err := api.Decode(file, data)
		if err != nil && !patches[file] {
			t.broken = append(t.broken, lintBroken{file, err, data})
		}
		for _, d := range docs {
			t.docs = append(t.docs, lintDocument{d, patches[file]})
		}
	}
	return nil
}

// passed says which folders hold nothing of the tree's own: Git's, other work
// trees, and templates of charts, which are no YAML yet.
func (t *lintTree) passed(dir string) bool {
	if dir == "." {
		return false
	}
	_, inner := fs.Stat(t.FS, path.Join(dir, ".git"))
	_, chart := fs.Stat(t.FS, path.Join(path.Dir(dir), "Chart.yaml"))
	return path.Base(dir) == ".git" || inner == nil || (path.Base(dir) == "templates" && chart == nil)
}

// addPatches adds the files that a kustomization lays over others. They are
// judged by what comes out.
func addPatches(into map[string]bool, file string, data []byte) {
	var k struct {
		Patches []struct {
			Path string `yaml:"path"`
		} `yaml:"patches"`
		Merge []string `yaml:"patchesStrategicMerge"`
		JSON  []struct {
			Path string `yaml:"path"`
		} `yaml:"patchesJson6902"`
	}
	if yaml.Unmarshal(data, &k) != nil {
		return // its render says so
	}
	for _, p := range slices.Concat(k.Patches, k.JSON) {
		into[path.Join(path.Dir(file), p.Path)] = true
	}
	for _, p := range k.Merge {
		into[path.Join(path.Dir(file), p)] = true
	}
}

func (t *lintTree) isFile(name string) bool {
	info, err := fs.Stat(t.FS, name)
	return err == nil && info.Mode().IsRegular()
}

// checkDocuments tells what each document shows by itself.
func (t *lintTree) checkDocuments() {
	for _, b := range t.broken {
		t.faults(b.err, place{t, b.file, 1}, func(p place, what, _ string) {
			if b.template(p.line, len(t.texts[b.file]) == 0) {
				p.warns(what, "if it is a template, this is judged by what it gives; else mend it")
				return
			}
			kind, _, _ := strings.Cut(what, ": ")
			if _, ours := mends[kind]; !ours {
				kind = t.texts.kind(p.file, p.line)
			}
			p.errs(what, cmp.Or(mends[kind], mend))
		})
	}
	for _, d := range t.docs {
		switch o := d.Object.(type) {
		case *api.DeploymentPolicy:
			t.checkPolicy(d, o)
		case *api.Application:
			if !d.patch {
				t.checkApplication(d, o)
			}
		case *api.Hold:
			t.checkHold(d, o)
		}
	}
}

// kind is that of the document at a line.
func (t texts) kind(file string, line int) string {
	kind := ""
	for _, n := range t[file] {
		if n.Line <= line && n.Kind == yaml.MappingNode {
			_, value := child(n, "kind")
			if kind = ""; value != nil {
				kind = value.Value
			}
		}
	}
	return kind
}

// field is the place of a document's field.
func (t *lintTree) field(d lintDocument, fields ...string) place {
	return place{t, d.File, t.texts.line(d.File, d.Line, fields...)}
}

// checkPolicy tells what the automator would find in each rule.
func (t *lintTree) checkPolicy(d lintDocument, p *api.DeploymentPolicy) {
	do := mends["DeploymentPolicy"]
	for i, r := range p.Spec.Rules {
		at := fmt.Sprintf("spec.rules[%d]", i)
		if err := policy.Check(r.Track); err != nil {
			t.field(d, at, "track").errs(err.Error(), do)
		}
		for j, f := range r.Freeze {
			if _, err := freeze.New(f); err != nil {
				t.field(d, at, fmt.Sprintf("freeze[%d]", j)).errs(err.Error(), do)
			}
		}
		rule := &Rule{Rule: r}
		if err := rule.readTrust(t.FS, d.File); err != nil {
			t.field(d, slices.Concat([]string{at}, fieldsOf(err.Error()))...).errs(err.Error(), do)
		}
	}
}

// checkApplication tells what a document lacks that the cluster demands.
func (t *lintTree) checkApplication(d lintDocument, a *api.Application) {
	s := a.Spec.Source
	_, err := events.ParseGitRepository(s.Repository, nil)
	for _, c := range []struct {
		field string
		err   error
	}{
		{"metadata.name", needed(a.Metadata.Name)},
		{"spec.source.repository", cmp.Or(needed(s.Repository), err)},
		{"spec.source.path", cmp.Or(needed(s.Path), inside(s.Path))},
	} {
		if c.err != nil {
			t.field(d, c.field).errs(fmt.Sprintf("%s: %s: %v", d.Kind, c.field, c.err), mends[d.Kind])
		}
	}
	if t.Health == nil {
		return
	}
	if err := t.Health(a.Spec.Health); err != nil {
		for _, fault := range leaves(err) {
			t.field(d, fieldsOf(fault)...).errs(d.Kind+": "+fault, mends[d.Kind])
		}
	}
}

func needed(value string) error {
	if value == "" {
		return errors.New("it is required")
	}
	return nil
}

func inside(dir string) error {
	if !fs.ValidPath(path.Clean(dir)) {
		return fmt.Errorf("%q is not a path inside the repository", dir)
	}
	return nil
}

// checkHold tells what would keep a hold from holding.
func (t *lintTree) checkHold(d lintDocument, h *api.Hold) {
	_, app := events.ParseApplication(h.Spec.Application)
	_, image := events.ParseImageRepository(h.Spec.Image, nil)
	for _, c := range []struct {
		field string
		err   error
	}{
		{"spec.application", app},
		{"spec.image", image},
		{"spec.digest", valid(h.Spec.Digest, events.ValidDigest, "digest such as sha256:9f2c…")},
		{"spec.tag", valid(h.Spec.Tag, events.ValidTag, "tag")},
	} {
		if c.err != nil {
			t.field(d, c.field).errs(fmt.Sprintf("%s: %s: %v", d.Kind, c.field, c.err), "mend it: until then it holds nothing")
		}
	}
}

func valid(value string, is func(string) bool, what string) error {
	if value != "" && !is(value) {
		return fmt.Errorf("%q is no %s", value, what)
	}
	return nil
}
