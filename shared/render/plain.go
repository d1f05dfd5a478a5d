package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// maxFaults bounds how many faults one error tells.
const maxFaults = 20

// readPlain reads every manifest below a directory, in the order of paths, but for
// folders that are apart (nil: none is).
func readPlain(ctx context.Context, src *source, dir string, apart func(folder string) (bool, error)) (Result, error) {
	result := Result{Kind: Plain, Inputs: []string{dir}}
	ignored, err := ignoresOf(src.ignore)
	if err != nil {
		return result, err
	}
	var faults []error
	err = fs.WalkDir(src.fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if entry.IsDir() {
			return enter(src, ignored, dir, name, apart)
		}
		if !isManifest(name) || !entry.Type().IsRegular() || ignored.match(relative(dir, name), false) {
			return nil
		}
		objects, err := readFile(src, name)
		if err != nil {
			faults = append(faults, err)
		}
		if len(faults) >= maxFaults {
			return fs.SkipAll
		}
		result.Objects = append(result.Objects, objects...)
		return nil
	})
	order(result.Objects)
	return result, errors.Join(append(faults, err)...)
}

// enter decides whether to walk into a directory, and takes its ignore file.
func enter(src *source, ignored *ignores, dir, name string, apart func(folder string) (bool, error)) error {
	if err := enterAny(src, ignored, dir, name); err != nil || name == dir {
		return err
	}
	if apart != nil {
		if leave, err := apart(name); err != nil || leave {
			return cmp.Or(err, fs.SkipDir)
		}
	}
	if ignored.match(relative(dir, path.Join(name, chartFile)), false) {
		return nil
	}
	return src.refuseChart(name)
}

// enterAny is enter for those who may also look into charts.
func enterAny(src *source, ignored *ignores, dir, name string) error {
	at := ""
	if name != dir {
		at = relative(dir, name)
		if path.Base(name) == ".git" || ignored.match(at, true) {
			return fs.SkipDir
		}
	}
	file := path.Join(name, ignoreFile)
	if !src.isFile(file) {
		return nil
	}
	data, err := src.read(file)
	if err != nil {
		return err
	}
	ignored.add(data, at)
	return ignored.fault(file)
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

// readFile gives the objects of one file, or all of its faults.
func readFile(src *source, name string) ([]Object, error) {
	data, err := src.read(name)
	if err != nil {
		return nil, err
	}
	return parseFile(src, name, data)
}

func parseFile(src *source, name string, data []byte) ([]Object, error) {
	if slices.Contains(data, 0) {
		return nil, &Error{
			File: name, Reason: ReasonInvalid, Message: fmt.Sprintf("not text: byte %d is 0", slices.Index(data, 0)),
			Help: "leave the file out with .slipwayignore",
		}
	}
	var objects []Object
	var faults []error
	for _, doc := range split(data) {
		found, err := doc.objects(src, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		objects = append(objects, found...)
	}
	return objects, errors.Join(faults...)
}
