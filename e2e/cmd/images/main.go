// Command images builds the images of our programs as OCI layouts, for several
// platforms, with bills of materials:
//
//	images [-out bin/images] [-platforms linux/amd64,linux/arm64] [-revision COMMIT] [NAME…]
//
// Built twice from the same sources they have the same digests.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-cd/slipway/e2e/compose"
	"github.com/slipway-cd/slipway/e2e/image"
	"github.com/slipway-cd/slipway/e2e/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := flag.String("out", "bin/images", "a folder; each image gets one below it")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "the platforms, separated by commas")
	revision := flag.String("revision", "", "the commit, for the label org.opencontainers.image.revision")
	flag.Parse()
	if err := run(ctx, *out, *platforms, *revision, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to undo
	}
}

func run(ctx context.Context, out, platforms, revision string, names []string) error {
	if len(names) == 0 {
		names = compose.Services
	}
	for _, name := range names {
		if !slices.Contains(compose.Services, name) {
			return fmt.Errorf("no image %q: there are %s", name, strings.Join(compose.Services, ", "))
		}
	}
	root, err := local.Root()
	if err != nil {
		return err
	}
	builds := map[string]map[string]image.Built{} // by name and platform
	for text := range strings.SplitSeq(platforms, ",") {
		platform, err := v1.ParsePlatform(strings.TrimSpace(text))
		if err != nil || platform.OS == "" || platform.Architecture == "" {
			return fmt.Errorf("read -platforms: %q is not OS/ARCHITECTURE", text)
		}
		programs, err := compose.BuildPrograms(ctx, root, filepath.Join(root, "bin"), *platform, names...)
		if err != nil {
			return err
		}
		for _, name := range names {
			built, err := build(name, programs[name], *platform, revision)
			if err != nil {
				return err
			}
			if builds[name] == nil {
				builds[name] = map[string]image.Built{}
			}
			builds[name][platform.String()] = built
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tPLATFORM\tTO PULL\tON DISK\tDIGEST")
	for _, name := range names {
		digest, err := image.WriteLayout(filepath.Join(out, name), builds[name])
		if err != nil {
			return err
		}
		if err := show(table, name, digest, builds[name]); err != nil {
			return err
		}
	}
	return table.Flush()
}

func build(name, program string, platform v1.Platform, revision string) (b image.Built, err error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return b, fmt.Errorf("read %s: %w", name, err)
	}
	if b.BOM, err = image.BOM(name, text); err != nil {
		return b, err
	}
	b.Image, err = compose.Service(name, text, platform, revision).Build()
	return b, err
}

// show tells what there is to pull, and what it takes on a disk.
func show(out io.Writer, name string, digest v1.Hash, builds map[string]image.Built) error {
	const megabyte = 1e6
	fmt.Fprintf(out, "%s\t\t\t\t%s\n", name, digest)
	for _, platform := range slices.Sorted(maps.Keys(builds)) {
		b := builds[platform]
		layers, err := b.Image.Layers()
		if err != nil {
			return fmt.Errorf("measure %s: %w", name, err)
		}
		var pull, disk int64
		for _, l := range layers {
			packed, err := l.Size()
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			pull += packed
			plain, err := l.Uncompressed()
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			n, err := io.Copy(io.Discard, plain)
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			disk += n
		}
		own, err := b.Image.Digest()
		if err != nil {
			return fmt.Errorf("measure %s: %w", name, err)
		}
		fmt.Fprintf(out, "\t%s\t%.1f MB\t%.1f MB\t%s\n", platform, float64(pull)/megabyte, float64(disk)/megabyte, own)
	}
	return nil
}
