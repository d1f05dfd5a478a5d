package appset

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxFile bounds what is read of one file.
const maxFile = 1 << 20

// git gives folders of the repository, or what its files say.
func (s *set) git(at string, settings map[string]any, _ params) ([]params, error) {
	repository, _ := settings["repoURL"].(string)
	if !s.Own(repository) {
		s.tell(at, true, "it looks into another repository ("+repository+")", "write each Application, or migrate with --repository "+repository)
		return nil, nil
	}
	found, err := s.files(settings["files"] == nil)
	if err != nil {
		return nil, err
	}
	prefix, _ := settings["pathParamPrefix"].(string)
	if settings["files"] == nil {
		found, err = matching(found, settings["directories"], func(pattern, name string) (bool, error) { return path.Match(pattern, name) })
	} else {
		found, err = matching(found, settings["files"], pathspec)
	}
	if err != nil {
		return nil, err
	}
	var all []params
	for _, name := range found {
		some := []map[string]any{{}}
		if settings["files"] != nil {
			if some, err = s.read(name); err != nil {
				return nil, err
			}
		}
		for _, p := range some {
			p := s.flatten(p)
			s.place(p, prefix, name, settings["files"] != nil)
			if err := s.values(p, settings); err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// files are the folders of the repository, or its files, in order. What begins
// with a dot isn't looked at.
func (s *set) files(folders bool) ([]string, error) {
	var all []string
	err := fs.WalkDir(s.FS, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() == folders && (folders || e.Type().IsRegular()):
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository: %w", err)
	}
	return all, nil
}

// matching are the names that an item chooses and none excludes.
func matching(names []string, items any, match func(pattern, name string) (bool, error)) ([]string, error) {
	list, _ := items.([]any)
	var all []string
	for _, name := range names {
		chosen, excluded := false, false
		for _, i := range list {
			item, _ := i.(map[string]any)
			pattern, _ := item["path"].(string)
			yes, err := match(pattern, name)
			if err != nil {
				return nil, fmt.Errorf("path %q: %w", pattern, err)
			}
			if item["exclude"] == true {
				excluded = excluded || yes
			} else {
				chosen = chosen || yes
			}
		}
		if chosen && !excluded {
			all = append(all, name)
		}
	}
	return all, nil
}

// pathspec matches as `git ls-files` does: a star goes over slashes, and a folder
// means all that is below it.
func pathspec(pattern, name string) (bool, error) {
	if name == pattern || strings.HasPrefix(name, strings.TrimSuffix(pattern, "/")+"/") {
		return true, nil
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString("(.*/)?")
			i += 2
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString(".")
		case c == '[' && strings.IndexByte(pattern[i:], ']') > 1:
			end := i + strings.IndexByte(pattern[i:], ']')
			b.WriteString(strings.Replace(pattern[i:end+1], "[!", "[^", 1))
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	e, err := regexp.Compile("^" + b.String() + "$")
	if err != nil {
		return false, err
	}
	return e.MatchString(name), nil
}

// read gives the mapping of a file, or those of its list.
func (s *set) read(name string) ([]map[string]any, error) {
	info, err := fs.Stat(s.FS, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes: parameters have at most %d", name, info.Size(), maxFile)
	}
	data, err := fs.ReadFile(s.FS, name)
	if err != nil {
		return nil, err
	}
	one := map[string]any{}
	if err = yaml.Unmarshal(data, &one); err == nil {
		return []map[string]any{one}, nil
	}
	var some []map[string]any
	if yaml.Unmarshal(data, &some) == nil {
		return some, nil
	}
	return nil, fmt.Errorf("%s holds no parameters: %w", name, err)
}

// place adds where something was found.
func (s *set) place(p params, prefix, name string, file bool) {
	dir := name
	if file {
		dir = path.Dir(name)
	}
	at := map[string]any{"path": dir, "basename": path.Base(dir), "basenameNormalized": normalize(path.Base(dir))}
	if file {
		at["filename"], at["filenameNormalized"] = path.Base(name), normalize(path.Base(name))
	}
	segments := strings.Split(dir, "/")
	if s.templates.nested {
		at["segments"] = slices.Clone(segments)
		if prefix == "" {
			p["path"] = at
		} else {
			p[prefix] = map[string]any{"path": at}
		}
		return
	}
	key := strings.TrimPrefix(prefix+".path", ".")
	for k, v := range at {
		p[strings.TrimSuffix(key+"."+k, ".path")] = v
	}
	p[key] = dir
	for i, segment := range segments {
		p[key+"["+strconv.Itoa(i)+"]"] = segment
	}
}
