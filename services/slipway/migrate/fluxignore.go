package migrate

import (
	"path"
	"slices"
	"strings"
)

// leavesOut writes what a Kustomization's GitRepository leaves out of its path: of the
// form that leaves out everything but some folders and files, which is what people write.
func (f *flux) leavesOut(s *source, at string, out tree) {
	git := f.gitOf(s)
	if git == nil || !git.at("spec", "ignore").there() {
		return
	}
	v := git.at("spec", "ignore")
	kept, ok := allBut(v.peek())
	if !ok {
		return // it is told as a field without counterpart
	}
	patterns, ok := within(at, kept)
	switch {
	case !ok:
		v.note(Wrong, "it leaves out all of "+at+", which is applied", "mend it there first")
	case slices.ContainsFunc(patterns, func(p string) bool { return slices.Contains(kustomizationNames, path.Base(p)) }):
		v.take() // that names what it takes
	case f.isHome(addressOf(git)) && kustomized(f.FS, at):
		v.take()
	default:
		v.take()
		set(out, anyList(patterns), "source", "ignore")
	}
}

// allBut is what patterns of gitignore keep that leave out everything else; not ok for
// others.
func allBut(patterns string) (kept []string, ok bool) {
	for line := range strings.Lines(patterns) {
		line = strings.TrimSpace(line)
		name, keeps := strings.CutPrefix(line, "!")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !ok && (line == "/*" || line == "/**" || line == "*"):
			ok = true
		case !ok || !keeps || strings.ContainsAny(name, `*?[]\`) || cleanPath(name) == ".":
			return nil, false
		default:
			kept = append(kept, cleanPath(strings.TrimPrefix(name, "/")))
		}
	}
	return kept, ok && len(kept) > 0
}

// within gives the patterns, seen from a path, that leave out all of it but what is kept;
// none where all of it is. Git takes nothing back in whose folder is left out, so that the
// folders on the way are taken in first. Not ok where nothing of it is kept.
func within(at string, kept []string) (patterns []string, ok bool) {
	var below []string
	for _, k := range kept {
		switch {
		case k == at || under(k, at):
			return nil, true
		case under(at, k):
			below = append(below, relative(at, k))
		}
	}
	if len(below) == 0 {
		return nil, false
	}
	patterns = []string{"/*"}
	for _, k := range below {
		parts := strings.Split(k, "/")
		for i := 1; i < len(parts); i++ {
			folder := "/" + strings.Join(parts[:i], "/")
			if !slices.Contains(patterns, "!"+folder+"/") {
				patterns = append(patterns, "!"+folder+"/", folder+"/*")
			}
		}
		patterns = append(patterns, "!/"+k)
	}
	return patterns, true
}
