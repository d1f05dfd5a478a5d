package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// libraries are the folders in which this machine's linker looks, Debian's first.
var libraries = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// FromMachine takes programs of this machine with the libraries that they are linked
// to, for an image of something that can't do without them, as Gitea without git.
func FromMachine(programs ...string) ([]File, error) {
	var all []File
	seen := map[string]bool{}
	for _, name := range programs {
		found, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("take %s from this machine: %w", name, err)
		}
		text, err := os.ReadFile(found)
		if err != nil {
			return nil, fmt.Errorf("take %s from this machine: %w", name, err)
		}
		all = append(all, File{Path: "/usr/bin/" + filepath.Base(name), Data: text, Mode: 0o755})
		libs, err := Libraries(found)
		if err != nil {
			return nil, err
		}
		for _, l := range libs {
			if !seen[l.Path] {
				seen[l.Path] = true
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// Libraries are what a dynamically linked program needs besides itself: its linker
// and every library, also those that libraries need.
func Libraries(program string) ([]File, error) {
	var all []File
	queue, seen := []string{program}, map[string]bool{}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		needs, linker, err := linked(at)
		if err != nil {
			return nil, fmt.Errorf("find the libraries of %s: %w", at, err)
		}
		var files []string
		if linker != "" {
			files = append(files, linker)
		}
		for _, lib := range needs {
			found, err := library(lib)
			if err != nil {
				return nil, fmt.Errorf("find the libraries of %s: %w", at, err)
			}
			files = append(files, found)
		}
		for _, f := range files {
			if seen[filepath.Base(f)] {
				continue
			}
			seen[filepath.Base(f)] = true
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, fmt.Errorf("find the libraries of %s: %w", at, err)
			}
			all = append(all, File{Path: f, Data: text, Mode: 0o755})
			queue = append(queue, f)
		}
	}
	return all, nil
}

// linked reads what a program names: its libraries and its linker.
func linked(program string) (needs []string, linker string, err error) {
	file, err := elf.Open(program)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if needs, err = file.ImportedLibraries(); err != nil {
		return nil, "", err
	}
	i := slices.IndexFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if i < 0 {
		return needs, "", nil
	}
	text := make([]byte, file.Progs[i].Filesz)
	if _, err := file.Progs[i].ReadAt(text, 0); err != nil {
		return nil, "", err
	}
	return needs, string(text[:max(0, len(text)-1)]), nil
}

func library(name string) (string, error) {
	for _, dir := range libraries {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("%s is not on this machine", name)
}
