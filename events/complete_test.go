package events

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared reads the package's source: a type that is declared and not in the
// table would never be read.
func declared(t *testing.T) (types []Type, payloads []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Type" && len(n.Values) == 1 {
					value, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					types = append(types, Type(value))
				}
			case *ast.FuncDecl:
				// A payload is what has halves.
				if n.Recv != nil && n.Name.Name == "Type" && n.Type.Results != nil {
					if id, ok := n.Recv.List[0].Type.(*ast.Ident); ok && id.Name != "Event" {
						payloads = append(payloads, id.Name)
					}
				}
			}
			return true
		})
	}
	return types, payloads
}

func TestEachDeclaredTypeIsInTheTableOnceAndHasASample(t *testing.T) {
	types, payloads := declared(t)
	if len(types) == 0 || len(payloads) == 0 {
		t.Fatal("no type found: this test would prove nothing")
	}
	sampled := map[Type]bool{}
	structs := map[string]bool{}
	for _, p := range samples() {
		sampled[p.Type()] = true
		structs[strings.TrimPrefix(fmt.Sprintf("%T", p), "events.")] = true
	}
	for _, typ := range types {
		rows := 0
		for _, k := range Kinds {
			if k.Type == typ {
				rows++
			}
		}
		if rows != 1 {
			t.Errorf("%s is in Kinds %d times, not once", typ, rows)
		}
		if !sampled[typ] {
			t.Errorf("%s has no sample", typ)
		}
	}
	for _, p := range payloads {
		if !structs[p] {
			t.Errorf("payload %s has no sample", p)
		}
	}
	if len(Kinds) != len(types) {
		t.Errorf("%d kinds for %d declared types", len(Kinds), len(types))
	}
}

func TestEachKindIsWellFormed(t *testing.T) {
	form := regexp.MustCompile(`^dev\.(cdevents\.[a-z]+|cdeventsx\.slipway-[a-z]+)\.[a-z]+\.\d+\.\d+\.\d+$`)
	shorts := map[string]bool{}
	for _, k := range Kinds {
		if !form.MatchString(string(k.Type)) {
			t.Errorf("%s is no CDEvents type", k.Type)
		}
		if k.Moment == "" || len(k.Emitters) == 0 || k.decode == nil {
			t.Errorf("the row of %s is not filled", k.Type)
		}
		if shorts[k.Type.Short()] {
			t.Errorf("%s shares its subject %s", k.Type, k.Type.Short())
		}
		shorts[k.Type.Short()] = true
	}
}

// readmeTable is the part of README.md that is made of the table.
func readmeTable() string {
	var b strings.Builder
	b.WriteString("| when | type | subject on NATS | from | to |\n|---|---|---|---|---|\n")
	for _, k := range Kinds {
		to := "subscribers"
		if len(k.Listeners) > 0 {
			to = strings.Join(k.Listeners, ", ")
		}
		fmt.Fprintf(&b, "| %s | [`%s`](schema/%s.json) | `%s.%s.<key>` | %s | %s |\n",
			k.Moment, k.Type, k.Type, SubjectPrefix, k.Type.Short(), strings.Join(k.Emitters, ", "), to)
	}
	return b.String()
}

func TestReadmeHasTheTableOfTypes(t *testing.T) {
	const begin, end = "<!-- types: written by make generate -->\n", "<!-- end of types -->"
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md lacks the marks of the table")
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(head+begin+readmeTable()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != readmeTable() {
		t.Error("README.md's table is not that of Kinds: make generate")
	}
}

func TestNoFileIsLeftOfATypeThatNeverWas(t *testing.T) {
	files, err := filepath.Glob("schema/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		typ := Type(strings.TrimSuffix(filepath.Base(file), ".json"))
		if !slices.ContainsFunc(Kinds, func(k Kind) bool { return k.Type == typ }) {
			t.Errorf("%s is of no type in the table", file)
		}
	}
}
