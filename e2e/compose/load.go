package compose

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-cd/slipway/e2e/image"
)

// Load builds the images for this machine and gives the engine those that it hasn't.
func (p *Project) Load(ctx context.Context) error {
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	bin := filepath.Join(p.Root, "bin")
	programs, err := BuildPrograms(ctx, p.Root, bin, platform, Services...)
	if err != nil {
		return err
	}
	for _, service := range Services {
		program, err := os.ReadFile(programs[service])
		if err != nil {
			return fmt.Errorf("read %s: %w", service, err)
		}
		if err := p.load(ctx, service, Service(service, program, platform, "")); err != nil {
			return err
		}
	}
	return p.loadParts(ctx, bin, platform)
}

func (p *Project) loadParts(ctx context.Context, bin string, platform v1.Platform) error {
	prober := filepath.Join(bin, platform.OS+"-"+platform.Architecture, "healthcheck")
	if err := goBuild(ctx, p.Root, platform, []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", prober, "./e2e/cmd/healthcheck"}); err != nil {
		return err
	}
	probe, err := os.ReadFile(prober)
	if err != nil {
		return fmt.Errorf("read healthcheck: %w", err)
	}
	wanted := maps.Clone(clusterPart)
	if p.Offline {
		maps.Copy(wanted, offline)
	}
	for _, part := range slices.Sorted(maps.Keys(wanted)) {
		spec, err := wanted[part].spec(ctx, part, platform, probe)
		if err != nil {
			return err
		}
		if err := p.load(ctx, part, spec); err != nil {
			return err
		}
	}
	return nil
}

// load gives the engine one image, unless it has it.
func (p *Project) load(ctx context.Context, short string, spec image.Spec) error {
	ref, err := name.NewTag(p.Images + "/" + short + ":" + p.Tag)
	if err != nil {
		return fmt.Errorf("name the image of %s: %w", short, err)
	}
	built, err := spec.Plain()
	if err != nil {
		return err
	}
	id, err := built.ConfigName()
	if err != nil {
		return fmt.Errorf("build the image of %s: %w", short, err)
	}
	plain := p.Images + "/" + short + ":" + p.Tag
	if has, err := p.Docker(ctx, "", "image", "inspect", "--format", "{{.Id}}", plain); err == nil && strings.TrimSpace(has) == id.String() {
		return nil
	}
	p.say("loading %s", plain)
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(tarball.Write(ref, built, writer)) }()
	if _, err := p.docker(ctx, reader, "load", "--quiet"); err != nil {
		return fmt.Errorf("load %s: %w", plain, err)
	}
	return nil
}
