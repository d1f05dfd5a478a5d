package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/bases"
)

// remoteDir is below which folder a build sees what lies beyond the repository:
// other repositories at its root, files beside the kustomization that names them,
// since kustomize takes no others.
const remoteDir = ".slipway-remote"

// helpAllow is for what isn't allowed.
const helpAllow = "copy it into the repository and name its path, or have it allowed: by remoteBases in the config, and by the Project where there is one (--remote-base for `slipway render`)"

// maxBases bounds what one build may name beyond the repository.
const maxBases = 100

// mounted is a repository with others in it, by their folders.
type mounted struct {
	fs.FS
	at map[string]fs.FS
}

// within is where a name lies.
func (m mounted) within(name string) (fs.FS, string) {
	if rest, is := strings.CutPrefix(name, remoteDir+"/"); is {
		parts := strings.SplitN(rest, "/", 2)
		if sub, found := m.at[path.Join(remoteDir, parts[0])]; found {
			if len(parts) == 1 {
				return sub, "."
			}
			return sub, parts[1]
		}
	}
	return m.FS, name
}

// Open is [fs.FS]'s.
func (m mounted) Open(name string) (fs.File, error) {
	fsys, name := m.within(name)
	return fsys.Open(name)
}

// Lstat is [fs.ReadLinkFS]'s.
func (m mounted) Lstat(name string) (fs.FileInfo, error) {
	fsys, name := m.within(name)
	return fs.Lstat(fsys, name)
}

// ReadLink is [fs.ReadLinkFS]'s.
func (m mounted) ReadLink(name string) (string, error) {
	fsys, name := m.within(name)
	return fs.ReadLink(fsys, name)
}

// mount has a repository's files seen below a folder.
func (s *source) mount(at string, files fs.FS) {
	m, already := s.fsys.(mounted)
	if !already {
		m = mounted{s.fsys, map[string]fs.FS{}}
		s.fsys = m
	}
	m.at[at] = files
	s.dirs[remoteDir], s.dirs[at] = true, true
}

// mountOf is the folder of the repository in which a file lies; empty for the
// config repo.
func mountOf(name string) string {
	if rest, is := strings.CutPrefix(name, remoteDir+"/"); is {
		first, _, _ := strings.Cut(rest, "/")
		return path.Join(remoteDir, first)
	}
	return ""
}

// mountAt is where a repository is seen.
func mountAt(a bases.Address) string {
	repository, _ := a.Places()
	return path.Join(remoteDir, url.PathEscape(repository+"@"+a.Revision))
}

// seen finds what kustomize was shown in the place of an address.
var seen = regexp.MustCompile(`[^'"\s]*` + regexp.QuoteMeta(remoteDir) + `/([^/'"\s]+)`)

// told is a text with the names that people know.
func told(text string) string {
	return seen.ReplaceAllStringFunc(text, func(name string) string {
		_, last, _ := strings.Cut(name[strings.LastIndex(name, remoteDir):], "/")
		switch last {
		case helmName:
			return "helmCharts"
		case chartOutput:
			return "what the chart gives"
		}
		if known, err := url.PathUnescape(last); err == nil {
			return known
		}
		return last
	})
}

// tell gives an error with the names that people know.
func tell(err error) error {
	return eachError(err, func(known Error) *Error {
		known.File, known.Message = told(known.File), told(known.Message)
		return &known
	})
}

// isOurs says that a path is of what lies beyond the repository.
func isOurs(name string) bool { return slices.Contains(strings.Split(name, "/"), remoteDir) }

// bring has what lies at an address seen at a path of the repository, and gives the
// way there from the folder from which the paths of a file go.
func (r *repository) bring(from scanner, line int, entry string, files bool) (string, error) {
	file := from.file
	fault := func(reason Reason, err error, help string) error {
		return &Error{File: file, Line: line, Reason: reason, Message: err.Error(), Help: help, Err: err}
	}
	if r.src.bases == nil {
		return "", remoteError(file, line, entry, helpAllow)
	}
	a, err := bases.Parse(entry)
	if err != nil {
		return "", fault(ReasonUnsupported, fmt.Errorf("%q: %w", redact(entry), err), "write it as kustomize documents it")
	}
	if len(r.bases) >= maxBases {
		return "", fault(ReasonTooLarge, fmt.Errorf("more than %d addresses beyond the repository in one build", maxBases), "copy some into the repository")
	}
	base, err := r.src.bases(a, files)
	if err != nil {
		return "", remoteFault(fault, err)
	}
	r.bases[a] = base
	if base.Repository == nil {
		return r.bringFile(from, line, a, base.Data)
	}
	at := mountAt(a)
	r.src.mount(at, base.Repository)
	target := path.Join(at, a.Dir)
	if info := r.src.stat(target); info == nil || !info.IsDir() {
		return "", fault(ReasonBuild, fmt.Errorf("%s has no folder %s", a.Clone+" at "+a.Revision, a.Dir), "check the path and the ref")
	}
	r.named = append(r.named, target)
	return upward(from.dir, target), nil
}

// upward is a way from a folder to a name anywhere in the repository.
func upward(dir, name string) string {
	for up := ""; ; up, dir = up+"../", path.Dir(dir) {
		if dir == "." || name == dir || strings.HasPrefix(name, dir+"/") {
			return up + relative(dir, name)
		}
	}
}

// bringFile puts a file beside the kustomization that names it.
func (r *repository) bringFile(from scanner, line int, a bases.Address, data []byte) (string, error) {
	r.src.bytes += int64(len(data))
	if int64(len(data)) > r.src.limits.FileBytes || r.src.bytes > r.src.limits.TotalBytes {
		return "", &Error{
			File: from.file, Line: line, Reason: ReasonTooLarge, Message: fmt.Sprintf("%s is larger than the limit of %d bytes a file, %d in all", a, r.src.limits.FileBytes, r.src.limits.TotalBytes),
			Help: "copy what is needed of it into the repository",
		}
	}
	_, where := a.Places()
	folder := path.Dir(where)
	if _, query, asks := strings.Cut(a.File, "?"); asks {
		folder += "?" + query
	}
	local := path.Join(remoteDir, url.PathEscape(folder), path.Base(where))
	target := path.Join(from.dir, local)
	r.roots[target] = from.dir
	written, err := r.scan(target, data)
	if err != nil {
		return "", err
	}
	r.written[target] = written
	r.named = append(r.named, target)
	return local, nil
}

// remoteFault says what to do where something can't be brought.
func remoteFault(fault func(Reason, error, string) error, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, bases.ErrNotAllowed):
		return fault(ReasonUnsupported, err, helpAllow)
	case errors.Is(err, bases.ErrBad):
		return fault(ReasonUnsupported, err, "copy it into the repository and name its path")
	case errors.Is(err, bases.ErrMissing):
		return fault(ReasonBase, err, "check the address and its ref")
	case errors.Is(err, bases.ErrUnauthorized):
		return fault(ReasonBase, err, "have credentials for it in the config, and the namespace trusted or under a Project that lists it")
	}
	return fault(ReasonBase, err, "")
}

// moving is what was brought and may be another one the next time.
func (r *repository) moving() []string {
	all := slices.Clone(r.ranges)
	for a, base := range r.bases {
		if base.Repository == nil || !a.Exact() {
			all = append(all, a.String()+"="+base.Version)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
