package migrate

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// directory writes how a folder of manifests is read: by which files, and without the
// folders in it, unless it says so.
func (a *argo) directory(v value, dir string, out tree) {
	var ignore []string
	if include := filePatterns(v.at("include")); len(include) > 0 {
		ignore = []string{"*", "!*/"}
		for _, p := range include {
			ignore = append(ignore, "!"+p)
		}
	}
	ignore = append(ignore, filePatterns(v.at("exclude"))...)
	recurse := v.at("recurse").is(false)
	if kustomized(a.FS, dir) || exists(a.FS, path.Join(dir, "Chart.yaml")) {
		return // Argo CD reads nothing of this then
	}
	if entries, err := fs.ReadDir(a.FS, dir); err == nil && !recurse && slices.ContainsFunc(entries, fs.DirEntry.IsDir) {
		ignore = append(ignore, "/*/")
	}
	set(out, anyList(ignore), "source", "ignore")
}

// filePatterns are those of gitignore that say what include or exclude does; one that
// they can't say is told.
func filePatterns(v value) []string {
	if !v.there() {
		return nil
	}
	patterns, ok := gitignored(v.text())
	if !ok {
		v.note(Missing, "it can't be said by patterns of gitignore", "write spec.source.ignore by hand")
	}
	return patterns
}

// gitignored is a pattern of Argo CD's include and exclude (github.com/gobwas/glob, to
// which a star also stands for slashes) as patterns of gitignore: one with a star at
// most, or several of them in braces.
func gitignored(glob string) (patterns []string, ok bool) {
	all := []string{glob}
	if inner, braced := strings.CutPrefix(glob, "{"); braced && strings.HasSuffix(inner, "}") {
		all = strings.Split(strings.TrimSuffix(inner, "}"), ",")
	}
	for _, one := range all {
		before, behind, star := strings.Cut(one, "*")
		switch {
		case one == "" || strings.ContainsAny(before+behind, `*?[]{}\!`) || strings.HasPrefix(one, "/") || strings.TrimSpace(one) != one:
			return nil, false
		case !star:
			patterns = append(patterns, "/"+one)
		case before == "" && !strings.Contains(behind, "/"):
			patterns = append(patterns, one)
		default:
			deeper := "/" + before + "*/**/*" + behind
			if rest, cut := strings.CutPrefix(behind, "/"); cut {
				deeper = "/" + before + "*/**/" + rest
			}
			patterns = append(patterns, "/"+one, deeper)
		}
	}
	return patterns, true
}
