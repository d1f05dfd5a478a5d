package reference

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Package is a folder's Go files, without its tests.
type Package struct {
	Folder string
	Files  []*ast.File
}

// Read reads the packages below folders of a tree.
func Read(tree fs.FS, folders ...string) ([]Package, error) {
	var all []Package
	at := map[string]int{} // a folder's files are not all in a row
	set := token.NewFileSet()
	for _, folder := range folders {
		err := fs.WalkDir(tree, folder, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			data, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			f, err := parser.ParseFile(set, name, data, parser.ParseComments)
			if err != nil {
				return err
			}
			i, known := at[path.Dir(name)]
			if !known {
				i = len(all)
				at[path.Dir(name)] = i
				all = append(all, Package{Folder: path.Dir(name)})
			}
			all[i].Files = append(all[i].Files, f)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", folder, err)
		}
	}
	return all, nil
}

const head = `# Reference

Every metric, event and field of the config. Written by ` + "`make generate`" + ` from the code; don't edit it.

`

// Page is the whole reference in Markdown.
func Page(metrics []Metric, config, credentials []Field) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("## Metrics\n\nOf each process, at `/metrics` of `listen.metrics`, beside those of Go and of the process.\n\n| metric | kind | labels | what | of |\n|---|---|---|---|---|\n")
	for _, m := range metrics {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | [%s](%s) |\n", m.Name, m.Kind, code(m.Labels), cell(m.Help), m.Where, m.Where)
	}
	b.WriteString("\n## Events\n\n[events](events/README.md) has a schema and a sample of each; [asyncapi.yaml](events/asyncapi.yaml) has all of them for tools.\n\n| event | when | from | to |\n|---|---|---|---|\n")
	for _, k := range events.Kinds {
		to := strings.Join(k.Listeners, ", ")
		if to == "" {
			to = "subscribers"
		}
		fmt.Fprintf(&b, "| [`%s`](events/schema/%s.json) | %s | %s | %s |\n", k.Type, k.Type, k.Moment, strings.Join(k.Emitters, ", "), to)
	}
	b.WriteString("\n## Config\n\nOne YAML file; any field that isn't in a list is an environment variable, too: `automator.debounce.quiet` is `SLIPWAY_AUTOMATOR_DEBOUNCE_QUIET`. A duration is such as `20ms`, `5m` or `1h`.\n\n")
	fields(&b, config)
	b.WriteString("\n### Credentials\n\nWherever the table above says so. Each kind of host takes some of them, and refuses the others.\n\n")
	fields(&b, credentials)
	return b.Bytes()
}

func fields(b *bytes.Buffer, all []Field) {
	b.WriteString("| field | value | what |\n|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Path, f.Type, cell(f.Doc))
	}
}

func code(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = "`" + s + "`"
	}
	return strings.Join(quoted, ", ")
}

// cell keeps a text in its cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}
