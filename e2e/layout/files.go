package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxLines is where a file becomes two.
	maxLines = 500
	// maxMain is how long the main.go of a service may be.
	maxMain = 20
)

// topLevel is what may lie at the top, besides dot files and what git ignores.
var topLevel = []string{
	"README.md", "Makefile", "go.work", "go.work.sum", "docker-compose.yaml", "events", "shared", "services",
	"deploy", "e2e", "LICENSE", "CONTRIBUTING.md", "REFERENCE.md",
	"bin", // ignored by git
}

// TopLevel holds the entries at the root to the list.
func TopLevel(root fs.FS) []string {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return []string{err.Error()}
	}
	var faults []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) {
			faults = append(faults, e.Name()+" does not belong at the top level")
		}
	}
	return faults
}

// GoFiles holds each Go file below root to its length, and to no init: nothing
// registers itself.
func GoFiles(root fs.FS) []string {
	return walk(root, ".go", func(name string, text []byte) []string {
		var faults []string
		lines := bytes.Count(text, []byte("\n"))
		generated := bytes.Contains(text, []byte("\n// Code generated ")) || bytes.HasPrefix(text, []byte("// Code generated "))
		if lines > maxLines && !generated {
			faults = append(faults, fmt.Sprintf("%s has %d lines; at most %d", name, lines, maxLines))
		}
		if ok, _ := path.Match("services/*/cmd/*/main.go", name); ok && lines > maxMain {
			faults = append(faults, fmt.Sprintf("%s has %d lines: a main only wires, in at most %d", name, lines, maxMain))
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return append(faults, err.Error())
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				faults = append(faults, name+" has an init")
			}
		}
		return faults
	})
}

// Comments demands exactly one package comment of each package; folder maps a
// package to where it lies below root.
func Comments(root fs.FS, packages []Package, folder func(Package) string) []string {
	var faults []string
	for _, p := range packages {
		if len(p.Files) == 0 {
			continue // only tests
		}
		var with []string
		for _, name := range p.Files {
			text, err := fs.ReadFile(root, path.Join(folder(p), name))
			if err != nil {
				faults = append(faults, err.Error())
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly|parser.ParseComments)
			if err == nil && file.Doc != nil {
				with = append(with, name)
			}
		}
		if len(with) != 1 {
			faults = append(faults, fmt.Sprintf("%s has %d package comments %v, not one", p.Path, len(with), with))
		}
	}
	return faults
}

// Services holds the shape of services/ and demands the same names in the
// README, in deploy/kubernetes and in docker-compose.yaml, as soon as those exist.
func Services(root fs.FS) []string {
	entries, err := fs.ReadDir(root, "services")
	if err != nil {
		return []string{err.Error()}
	}
	readme, _ := fs.ReadFile(root, "README.md")
	compose, _ := fs.ReadFile(root, "docker-compose.yaml")
	manifests := deployed(root)
	var faults []string
	for _, e := range entries {
		name := e.Name()
		for _, file := range []string{"go.mod", "README.md", "cmd/" + name + "/main.go"} {
			if _, err := fs.Stat(root, path.Join("services", name, file)); err != nil {
				faults = append(faults, "services/"+name+" lacks "+file)
			}
		}
		if readme != nil && !bytes.Contains(readme, []byte("services/"+name)) {
			faults = append(faults, "README.md does not name services/"+name)
		}
		if name == "slipway" {
			continue // a command: nothing deploys it
		}
		if _, err := fs.Stat(root, "deploy/kubernetes/"+name); manifests && err != nil {
			faults = append(faults, "deploy/kubernetes lacks "+name)
		}
		if compose != nil && !regexp.MustCompile(`(?m)^  `+name+`:`).Match(compose) {
			faults = append(faults, "docker-compose.yaml lacks "+name)
		}
	}
	return faults
}

// deployed says whether there are manifests.
func deployed(root fs.FS) bool {
	_, err := fs.Stat(root, "deploy/kubernetes")
	return err == nil
}

var (
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)[^)]*\)`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code    = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	scheme  = regexp.MustCompile(`^[a-z]+:`)
)

// LiveLinks demands that relative links of every *.md lead somewhere, with
// their anchors.
func LiveLinks(root fs.FS) []string {
	return walk(root, ".md", func(name string, text []byte) []string {
		var faults []string
		prose := code.ReplaceAll(fence.ReplaceAll(text, nil), []byte("code"))
		for _, m := range link.FindAllSubmatch(prose, -1) {
			target := string(m[1])
			if scheme.MatchString(target) {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			at := name
			if file != "" {
				at = path.Join(path.Dir(name), file)
			}
			if _, err := fs.Stat(root, at); err != nil {
				faults = append(faults, name+" links to "+target+", which is not there")
				continue
			}
			if anchor != "" && strings.HasSuffix(at, ".md") && !hasAnchor(root, at, anchor) {
				faults = append(faults, name+" links to "+target+": no such heading")
			}
		}
		return faults
	})
}

// hasAnchor knows headings as GitHub turns them into anchors.
func hasAnchor(root fs.FS, file, anchor string) bool {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return false
	}
	for _, m := range heading.FindAllSubmatch(fence.ReplaceAll(text, nil), -1) {
		slug := strings.ToLower(string(m[1]))
		slug = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(slug, "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// walk calls check for the files of a kind below root; bin, testdata and what
// begins with a dot are not looked into.
func walk(root fs.FS, ext string, check func(name string, text []byte) []string) []string {
	var faults []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ext {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		faults = append(faults, check(name, text)...)
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}
