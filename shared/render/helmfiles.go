package render

import (
	"bytes"
	"context"
	"io/fs"
	"path"

	"helm.sh/helm/v4/pkg/ignore"
)

// chartFiles reads a chart's folder as Helm does: everything that .helmignore
// doesn't name. Links are refused, since Helm would follow them.
func chartFiles(ctx context.Context, src *source, dir string) ([]file, error) {
	rules, err := helmIgnore(src, dir)
	if err != nil {
		return nil, err
	}
	var files []file
	err = fs.WalkDir(src.fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
		case ctx.Err() != nil:
			return ctx.Err()
		case name == dir:
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
		}
		within := relative(dir, name)
		switch {
		case rules.Ignore(within, info), entry.IsDir() && entry.Name() == ".git":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			return &Error{
				File: name, Reason: ReasonUnsupported, Message: "a symbolic link in a chart, which Slipway doesn't follow",
				Help: "put the file in its place, or leave it out with .helmignore",
			}
		case !entry.Type().IsRegular():
			return &Error{File: name, Reason: ReasonUnsupported, Message: "not a regular file", Help: "leave it out with .helmignore"}
		}
		read := src.readRaw // the chart's own values are values, too
		if within == valuesFileName {
			read = func(name string) ([]byte, error) { return valuesFile(src, name) }
		}
		data, err := read(name)
		if err != nil {
			return err
		}
		files = append(files, file{within, trimBOM(data)})
		return nil
	})
	return files, err
}

// valuesFileName is that of a chart's own values.
const valuesFileName = "values.yaml"

func helmIgnore(src *source, dir string) (*ignore.Rules, error) {
	rules := ignore.Empty()
	if name := path.Join(dir, ignore.HelmIgnore); src.isFile(name) {
		data, err := src.read(name)
		if err != nil {
			return nil, err
		}
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, &Error{File: name, Reason: ReasonInvalid, Message: err.Error(), Err: err}
		}
	}
	rules.AddDefaults()
	return rules, nil
}
