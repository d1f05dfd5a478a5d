package reference

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Metric is one of Prometheus's.
type Metric struct {
	Name, Kind, Help string
	Labels           []string
	Where            string // the package's folder
}

var metricName = regexp.MustCompile(`^slipway(_[a-z]+)+$`)

// Metrics finds all that the packages define: by options of client_golang, by
// descriptions, or by a function that is called with name and help. A name of
// which it can't be told what it is, is an error.
func Metrics(packages []Package) ([]Metric, error) {
	found := map[string]Metric{}
	named := map[string]string{} // every text that looks like one → where
	for _, p := range packages {
		for _, f := range p.Files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if name := text(n); metricName.MatchString(name) {
						named[name] = p.Folder
					}
				case *ast.CallExpr:
					if m, ok := metricOf(n); ok {
						m.Where = p.Folder
						found[m.Name] = m
					}
				}
				return true
			})
		}
	}
	var all []Metric
	for name, where := range named {
		m, ok := found[name]
		if !ok || m.Help == "" {
			return nil, fmt.Errorf("%s: what the metric %s is can't be told from how it is made: write its name and help as texts in one call", where, name)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// metricOf reads a call that makes a metric.
func metricOf(call *ast.CallExpr) (m Metric, ok bool) {
	if len(call.Args) == 0 {
		return m, false
	}
	function := called(call)
	if options, is := call.Args[0].(*ast.CompositeLit); is {
		m.Kind = kindOf(function)
		for _, e := range options.Elts {
			kv, is := e.(*ast.KeyValueExpr)
			if !is {
				continue
			}
			switch fmt.Sprint(kv.Key) {
			case "Name":
				m.Name = text(kv.Value)
			case "Help":
				m.Help = text(kv.Value)
			case "ConstLabels":
				m.Labels = append(m.Labels, texts(kv.Value)...)
			}
		}
	} else if len(call.Args) > 1 {
		m.Kind, m.Name, m.Help = kindOf(function), text(call.Args[0]), text(call.Args[1])
	}
	for _, arg := range call.Args[1:] {
		m.Labels = append(m.Labels, texts(arg)...)
	}
	return m, metricName.MatchString(m.Name)
}

func kindOf(function string) string {
	function = strings.ToLower(function)
	for _, kind := range []string{"counter", "histogram", "summary"} {
		if strings.Contains(function, kind) {
			return kind
		}
	}
	return "gauge"
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// text is a literal, or several that are joined; empty for anything else.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, _ := strconv.Unquote(e.Value) // the parser has read it
			return s
		}
	case *ast.BinaryExpr:
		if a, b := text(e.X), text(e.Y); e.Op == token.ADD && a != "" && b != "" {
			return a + b
		}
	}
	return ""
}

// texts are the literals of a list, or the keys of a map.
func texts(e ast.Expr) (all []string) {
	list, is := e.(*ast.CompositeLit)
	if !is {
		return nil
	}
	for _, e := range list.Elts {
		if kv, is := e.(*ast.KeyValueExpr); is {
			e = kv.Key
		}
		if s := text(e); s != "" {
			all = append(all, s)
		}
	}
	return all
}
