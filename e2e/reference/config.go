package reference

import (
	"errors"
	"fmt"
	"go/ast"
	"reflect"
	"strconv"
	"strings"
)

// Field is one of the config file.
type Field struct {
	Path string // such as receivers.sources[].name
	Type string
	Doc  string
}

// structure is a type of the config's package with its fields.
type structure struct {
	doc    string
	fields []*ast.Field
}

const (
	// Credentials is the type that stands in many places, and is told once.
	Credentials = "Credentials"
	secret      = "Secret"
)

// Config lists every field of the config in the order in which it is written
// down, from the type of that name. A field without a word is an error.
func Config(p Package, name string) ([]Field, error) {
	types := map[string]structure{}
	for _, f := range p.Files {
		for _, d := range f.Decls {
			g, is := d.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, s := range g.Specs {
				if t, is := s.(*ast.TypeSpec); is {
					if st, is := t.Type.(*ast.StructType); is {
						types[t.Name.Name] = structure{g.Doc.Text(), st.Fields.List}
					}
				}
			}
		}
	}
	w := walk{types: types}
	w.fields(name, "")
	return w.all, w.err
}

type walk struct {
	types map[string]structure
	all   []Field
	err   error
}

func (w *walk) fields(name, prefix string) {
	for _, f := range w.types[name].fields {
		tag := ""
		if f.Tag != nil {
			quoted, _ := strconv.Unquote(f.Tag.Value) // the parser has read it
			tag = reflect.StructTag(quoted).Get("yaml")
		}
		if tag == "" || tag == "-" {
			continue
		}
		shape, of := shapeOf(f.Type)
		if tag == ",inline" {
			w.fields(of, prefix)
			continue
		}
		path := prefix + tag
		doc := words(f.Doc.Text() + " " + f.Comment.Text())
		inner, nested := w.types[of]
		known := of == secret || of == Credentials // its value says it
		if doc == "" && nested && !known {
			doc = words(inner.doc)
		}
		if doc == "" && !known {
			w.err = errors.Join(w.err, fmt.Errorf("the config's field %s: say beside it what it is", path))
		}
		w.all = append(w.all, Field{path, typeName(shape, of, nested), doc})
		if nested && of != secret && of != Credentials {
			w.fields(of, path+suffix(shape)+".")
		}
	}
}

// shapeOf takes a type apart: "" or "*" for one, "[]" for a list, "map" for a
// map, and the name of what is in it.
func shapeOf(e ast.Expr) (shape, of string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		_, of = shapeOf(e.X)
		return "", of
	case *ast.ArrayType:
		_, of = shapeOf(e.Elt)
		return "[]", of
	case *ast.MapType:
		_, of = shapeOf(e.Value)
		return "map", of
	case *ast.SelectorExpr:
		return "", e.Sel.Name
	case *ast.Ident:
		return "", e.Name
	}
	return "", ""
}

func suffix(shape string) string {
	switch shape {
	case "[]":
		return "[]"
	case "map":
		return ".*"
	}
	return ""
}

func typeName(shape, of string, nested bool) string {
	switch {
	case of == secret:
		of = "secret: file or env"
	case of == Credentials:
		of = "[credentials](#credentials)"
	case nested:
		of = "section"
	case strings.HasPrefix(of, "int"), strings.HasPrefix(of, "float"):
		of = "number"
	case of == "bool":
		of = "true or false"
	case of == "Duration":
		of = "duration"
	default:
		of = "text"
	}
	switch shape {
	case "[]":
		return "list of " + of
	case "map":
		return "map to " + of
	}
	return of
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }
