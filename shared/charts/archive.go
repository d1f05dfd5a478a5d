package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// File is one of a chart, named from the chart's folder on.
type File struct {
	Name string
	Data []byte
}

// maxFiles bounds how many an archive may have.
const maxFiles = 20_000

// Files unpacks a chart's archive, which may come to so many bytes. It errs with
// [ErrBad] for what `helm package` doesn't make: links, paths that lead outside,
// several folders, or one without Chart.yaml. A byte order mark at the beginning
// of a file goes, as with Helm.
func Files(data []byte, most int64) ([]File, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, bad("the archive is not packed by gzip")
	}
	pack := tar.NewReader(zip)
	var files []File
	seen := map[string]bool{}
	root := ""
	for {
		h, err := pack.Next()
		switch {
		case errors.Is(err, io.EOF):
			if !seen["Chart.yaml"] {
				return nil, bad("the archive has no folder with a Chart.yaml")
			}
			return files, nil
		case err != nil:
			return nil, bad("the archive is damaged")
		case h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == tar.TypeXHeader:
			continue
		}
		dir, name, err := nameOf(h)
		switch {
		case err != nil:
			return nil, err
		case h.Typeflag == tar.TypeDir:
			continue
		case root != "" && root != dir:
			return nil, bad("the archive has the folders %q and %q: a chart is one", root, dir)
		case seen[name]:
			return nil, bad("the archive has %q twice", h.Name)
		case len(files) == maxFiles:
			return nil, bad("the archive has more than %d files", maxFiles)
		}
		text, err := io.ReadAll(io.LimitReader(pack, most+1))
		if most -= int64(len(text)); err != nil {
			return nil, bad("the archive is damaged")
		} else if most < 0 {
			return nil, bad("unpacked it is larger than the limit")
		}
		root, seen[name] = dir, true
		files = append(files, File{name, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))})
	}
}

// nameOf gives the folder and the name within it of an archive's entry.
func nameOf(h *tar.Header) (dir, name string, err error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink, tar.TypeLink:
		return "", "", bad("the archive has a link (%q)", h.Name)
	default:
		return "", "", bad("the archive has something that is no file (%q)", h.Name)
	}
	slashed := strings.TrimPrefix(strings.ReplaceAll(h.Name, `\`, "/"), "./")
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." || strings.ContainsAny(part, ":\x00") {
			return "", "", bad("the archive has a path that leads outside (%q)", h.Name)
		}
	}
	if path.IsAbs(slashed) {
		return "", "", bad("the archive has a path that leads outside (%q)", h.Name)
	}
	dir, name, within := strings.Cut(path.Clean(slashed), "/")
	if !within && h.Typeflag != tar.TypeDir {
		return "", "", bad("the archive has a file outside of the chart's folder (%q)", h.Name)
	}
	return dir, name, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBad, fmt.Sprintf(format, args...))
}
