package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root is the project's folder: the closest above the working directory that
// holds go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find the project: no go.work above %s", dir)
		}
	}
}

// programs are our own, by name, with their packages.
var programs = map[string]string{
	"slipway":           "./services/slipway/cmd/slipway",
	"registry-receiver": "./services/registry-receiver/cmd/registry-receiver",
	"git-receiver":      "./services/git-receiver/cmd/git-receiver",
	"automator":         "./services/automator/cmd/automator",
	"synchronizer":      "./services/synchronizer/cmd/synchronizer",
	"bus":               "./e2e/cmd/bus",
}

// Build builds our own programs into a folder.
func Build(ctx context.Context, dir string, names ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, programs[name])
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("build our programs: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, out)
	}
	return nil
}
