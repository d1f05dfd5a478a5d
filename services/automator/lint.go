package automator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/api"
	basefetch "github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/service"
)

// Finding is one fault that [Lint] found.
type Finding = promote.Finding

// SeverityError and SeverityWarning are the severities of a [Finding].
const (
	SeverityError   = promote.SeverityError
	SeverityWarning = promote.SeverityWarning
)

// Lint looks for what is wrong in the documents below paths on disk. With a
// config file (empty for none) each path is the root of a work tree of one of
// its repositories: that whose address the tree's origin has, or the only one;
// and what the trees come to together is looked at, too. It uses no bus, the
// network only for charts and bases that lie outside of the trees, and reads none of the
// config's secrets. Health says what is wrong in an Application's rules of health,
// which are another service's. It errs with [ErrInput] where it can't look.
func Lint(ctx context.Context, paths []string, config string, health func([]api.HealthRule) error) ([]Finding, error) {
	var cfg Config
	if config != "" {
		var err error
		if cfg, err = service.LoadRepositories(config); err != nil {
			return nil, err
		}
		if err := checkPolicies(cfg); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInput, config, err)
		}
	}
	var trees []promote.Tree
	fetched := fetch.User()
	brought, done, err := basefetch.User(cfg.RemoteBases)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: remoteBases: %w", ErrInput, config, err)
	}
	defer done()
	taken := map[*service.Repository]string{}
	for _, p := range paths {
		tree, err := treeOf(p, cfg, config != "")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if r := tree.Repository; r != nil {
			if other, twice := taken[r]; twice {
				return nil, fmt.Errorf("%w: %s and %s are work trees of the same repository", ErrInput, other, p)
			}
			taken[r] = p
		}
		tree.Charts, tree.Bases, tree.Health = fetched, brought, health
		trees = append(trees, tree)
	}
	return promote.Lint(ctx, cfg, trees)
}

// treeOf is the work tree of a path. Without a config it may be any folder or
// file of one.
func treeOf(p string, cfg Config, whole bool) (promote.Tree, error) {
	dir, err := filepath.Abs(p)
	if err != nil {
		return promote.Tree{}, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return promote.Tree{}, err
	}
	if whole {
		if !info.IsDir() {
			return promote.Tree{}, fmt.Errorf("%s: with a config, name the root of a work tree", p)
		}
		name, err := nameOf(p, dir)
		if err != nil {
			return promote.Tree{}, err
		}
		repo, err := repositoryOf(p, cfg)
		return promote.Tree{FS: os.DirFS(dir), Name: name, Below: ".", Repository: repo}, err
	}
	root := dir
	if !info.IsDir() {
		root = filepath.Dir(dir)
	}
	// Keys lie beside policies, and perhaps above the path.
	for at := root; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			root = at
			break
		}
	}
	below, err := filepath.Rel(root, dir)
	if err != nil {
		return promote.Tree{}, err
	}
	name, err := nameOf(p, root)
	return promote.Tree{FS: os.DirFS(root), Name: name, Below: filepath.ToSlash(below)}, err
}

// nameOf is what stands before the files of a tree that was found by a path:
// as that was written, from here or from the root of the disk.
func nameOf(p, root string) (string, error) {
	if filepath.IsAbs(p) {
		return filepath.ToSlash(root), nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	name, err := filepath.Rel(here, root)
	if err != nil || name == "." {
		return "", err
	}
	return filepath.ToSlash(name), nil
}

// repositoryOf is the config's repository of a work tree: the one whose
// address is the tree's origin, at the tree's branch where there are several;
// or else the only one.
func repositoryOf(root string, cfg Config) (*service.Repository, error) {
	origin, branch, err := Origin(root)
	if err != nil {
		return nil, fmt.Errorf("%s: read its .git: %w", root, err)
	}
	var same []*service.Repository
	if origin != "" {
		of, err := service.Repository{URL: origin}.Name(cfg.GitAliases())
		for i := range cfg.Repositories {
			if name, nameErr := cfg.Repositories[i].Name(cfg.GitAliases()); err == nil && nameErr == nil && name == of {
				same = append(same, &cfg.Repositories[i])
			}
		}
	}
	switch {
	case len(same) == 1:
		return same[0], nil
	case len(same) > 1:
		for _, r := range same {
			if r.Branch == branch {
				return r, nil
			}
		}
		return nil, fmt.Errorf("%s: the config has its repository at %d branches, and it is at none of them", root, len(same))
	case len(cfg.Repositories) == 1:
		return &cfg.Repositories[0], nil
	case origin == "":
		return nil, fmt.Errorf("%s: it has no origin, and the config has %d repositories: name the root of a clone of one of them", root, len(cfg.Repositories))
	}
	return nil, fmt.Errorf("%s: the config has no repository with the address of its origin", root)
}

// Origin reads the address of remote origin and the branch of a work tree; they are
// empty where it is none.
func Origin(root string) (origin, branch string, err error) {
	dir := filepath.Join(root, ".git")
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	common := dir
	if !info.IsDir() { // a linked work tree
		if dir, err = pointer(dir, "gitdir: "); err != nil {
			return "", "", err
		}
		if common, err = pointer(filepath.Join(dir, "commondir"), ""); errors.Is(err, fs.ErrNotExist) {
			common, err = dir, nil // a submodule
		}
		if err != nil {
			return "", "", err
		}
	}
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return "", "", err
	}
	branch, _ = strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
	origin, err = originOf(filepath.Join(common, "config"))
	return origin, branch, err
}

// pointer is the folder that a file of Git's names.
func pointer(file, before string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	dir := strings.TrimPrefix(strings.TrimSpace(string(text)), before)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(file), dir)
	}
	return dir, nil
}

// originOf is the url of remote origin in a repository's config.
func originOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	section, url := "", ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		key, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case section == `[remote "origin"]` && strings.EqualFold(strings.TrimSpace(key), "url"):
			url = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return url, lines.Err()
}
