package automator

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/rogpeppe/go-internal/diff"
)

// PrintableName is a file's name, in Go's quotes where a terminal, or a script
// that reads lines, could take it for something else.
func PrintableName(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}

// Diff is the edit as a unified diff, with name in its head; empty where
// nothing changes.
func (e Edit) Diff(name string) string {
	all := diff.Diff(PrintableName("a/"+name), e.Before, PrintableName("b/"+name), e.Now)
	_, unified, _ := bytes.Cut(all, []byte("\n")) // its first line names the two once more
	return string(unified)
}
