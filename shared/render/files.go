package render

import (
	"io/fs"
	"path"
	"slices"
)

// Files lists what an editor of the path may touch: every regular *.yaml,
// *.yml and *.json file below it, and kustomizations by any of their names,
// sorted. What the patterns (those of [Request.Ignore]) or .slipwayignore name and
// what lies behind links is left out; charts are listed like any other folder.
func Files(fsys fs.FS, dir string, ignore ...string) ([]string, error) {
	src := &source{fsys: fsys, limits: Limits{}.orDefault(), dirs: map[string]bool{}}
	if err := src.isDir(path.Clean(dir)); err != nil {
		return nil, err
	}
	ignored, err := ignoresOf(ignore)
	if err != nil {
		return nil, err
	}
	var files []string
	err = fs.WalkDir(fsys, path.Clean(dir), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
		case entry.IsDir():
			return enterAny(src, ignored, path.Clean(dir), name)
		case !entry.Type().IsRegular() || ignored.match(relative(path.Clean(dir), name), false):
			return nil
		case isManifest(name) || slices.Contains(kustomizationNames, path.Base(name)):
			files = append(files, name)
		}
		return nil
	})
	return files, err
}
