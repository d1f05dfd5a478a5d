package render

import (
	"path"
	"strings"

	"github.com/git-pkgs/gitignore"
)

// ignoreFile holds patterns in gitignore's syntax. It counts for the
// directory that it is in and all below, from the rendered path on.
const ignoreFile = ".slipwayignore"

// ignores matches paths, relative to the rendered one, against the ignore
// files that were added.
type ignores struct {
	matcher gitignore.Matcher
	any     bool
}

// ignoreField is where an Application has patterns.
const ignoreField = "spec.source.ignore"

// ignoresOf begins with the patterns of an Application.
func ignoresOf(patterns []string) (*ignores, error) {
	i := &ignores{}
	if len(patterns) == 0 {
		return i, nil
	}
	i.add([]byte(strings.Join(patterns, "\n")+"\n"), "")
	return i, i.fault(ignoreField)
}

// ignoresNothing says that there is nothing for an Application's patterns.
func ignoresNothing(file, what string) error {
	return &Error{
		File: file, Reason: ReasonUnsupported, Message: ignoreField + " leaves files out of a folder of manifests, and this is " + what,
		Help: "take it out",
	}
}

// add takes the ignore file of a directory (relative to the rendered path,
// "" for the path itself).
func (i *ignores) add(data []byte, dir string) {
	i.matcher.AddPatterns(data, dir)
	i.any = true
}

// fault is the first pattern that can't be read.
func (i *ignores) fault(file string) error {
	for _, e := range i.matcher.Errors() {
		return &Error{File: file, Reason: ReasonInvalid, Message: "pattern " + e.Pattern + ": " + e.Message}
	}
	return nil
}

func (i *ignores) match(relative string, isDir bool) bool {
	return i.any && i.matcher.MatchPath(relative, isDir)
}

// relative is name seen from dir.
func relative(dir, name string) string {
	if dir == "." {
		return name
	}
	return strings.TrimPrefix(path.Clean(name), dir+"/")
}
