package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sourcesFolder stands beside the config file: each file in it is one source.
const sourcesFolder = "sources.d"

// Place says where a field of the source at index i was written, for the
// faults in it; an empty field is the source itself.
func (r Receivers) Place(i int, field string) string {
	file, sep := r.Sources[i].From, ": "
	if file == "" {
		file, sep = fmt.Sprintf("receivers.sources[%d]", i), "."
	}
	if field == "" {
		return file
	}
	return file + sep + field
}

// readSources gives the sources of the folder beside the config file, in the
// order of their files' names; a folder that is missing has none.
func readSources(config string) ([]Source, []error) {
	files, err := sourceFiles(config)
	if err != nil {
		return nil, []error{err}
	}
	var sources []Source
	var all []error
	for _, file := range files {
		s, faults := readSource(file)
		if len(faults) == 0 {
			sources = append(sources, s)
		}
		all = append(all, faults...)
	}
	return sources, all
}

func readSource(file string) (Source, []error) {
	s := Source{From: file}
	data, err := os.ReadFile(file)
	if err != nil {
		return s, []error{fmt.Errorf("read a source: %w", err)}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err == nil && len(root.Content) > 0 && root.Content[0].Kind != yaml.MappingNode {
		return s, []error{fmt.Errorf("%s: line %d: it must be the fields of one source, name and provider among them", file, root.Content[0].Line)}
	}
	return s, decode(data, &s, file)
}

// sourceFiles lists the folder's YAML files. What begins with a dot is left
// out: Kubernetes keeps the folders behind its links there.
func sourceFiles(config string) ([]string, error) {
	dir := filepath.Join(filepath.Dir(config), sourcesFolder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("list the sources: %w", err)
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || (ext != ".yaml" && ext != ".yml") {
			continue
		}
		files = append(files, filepath.Join(dir, e.Name()))
	}
	return files, nil
}
