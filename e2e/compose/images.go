package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-cd/slipway/e2e/image"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// Services are the programs of ours that have images, the command last.
var Services = []string{"registry-receiver", "git-receiver", "automator", "synchronizer", "slipway"}

// Labels are what every image of ours says of itself
// (OCI image specification, annotations).
func labels(name, revision string) map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":    "slipway " + name,
		"org.opencontainers.image.source":   "https://github.com/slipway-cd/slipway",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if revision != "" {
		l["org.opencontainers.image.revision"] = revision
	}
	return l
}

// BuildPrograms builds services for a platform below dir and gives their files by name.
func BuildPrograms(ctx context.Context, root, dir string, platform v1.Platform, services ...string) (map[string]string, error) {
	to := filepath.Join(dir, platform.OS+"-"+platform.Architecture)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to + string(filepath.Separator)}
	files := map[string]string{}
	for _, name := range services {
		args = append(args, "./services/"+name+"/cmd/"+name)
		files[name] = filepath.Join(to, name)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, fmt.Errorf("build our programs: %w", err)
	}
	return files, goBuild(ctx, root, platform, args)
}

func goBuild(ctx context.Context, root string, platform v1.Platform, args []string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build for %s: %w\n%s", platform, err, out)
	}
	return nil
}

// Service is the image of one of our programs.
func Service(name string, program []byte, platform v1.Platform, revision string) image.Spec {
	return image.Spec{
		Platform: platform, Entrypoint: []string{"/" + name}, User: image.User, Labels: labels(name, revision),
		Files: []image.File{
			{Path: "/" + name, Data: program, Mode: 0o755},
			{Path: "/var/lib/slipway", Dir: true, Mode: 0o700, User: image.User},
			temporary,
		},
	}
}

var temporary = image.File{Path: "/tmp", Dir: true, Mode: 0o1777}

// part is the image of something beside our services.
type part struct {
	program parts.Name
	at      string // where the program is in the image
	data    string // a folder that it writes
	user    int
	machine []string // programs of this machine that it calls
}

// clusterPart is in no registry; the others are, and are built only for machines
// that can't pull.
var (
	clusterPart = map[string]part{"cluster": {program: parts.ClusterProgram, at: "/cluster", data: "/var/lib/cluster", user: image.User}}
	offline     = map[string]part{
		"nats":     {program: parts.NATSProgram, at: "/usr/local/bin/nats-server", data: "/data", user: image.User},
		"registry": {program: parts.RegistryProgram, at: "/usr/local/bin/registry", data: "/var/lib/registry", user: image.User},
		"caddy":    {program: parts.CaddyProgram, at: "/usr/local/bin/caddy", data: "/srv", user: image.User},
		// Gitea calls git, and git the shell scripts that Gitea has as hooks.
		"gitea": {
			program: parts.GiteaProgram, at: "/usr/local/bin/gitea", data: "/var/lib/gitea", user: gitUser,
			machine: []string{"git", "bash", "sh", "env", "cat", "basename", "dirname"},
		},
	}
)

// gitUser is the user git of Gitea's official image, whose files a volume has.
const gitUser = 1000

// spec makes the image of a part.
func (p part) spec(ctx context.Context, name string, platform v1.Platform, probe []byte) (image.Spec, error) {
	s := image.Spec{
		Platform: platform, Entrypoint: []string{p.at}, User: p.user, Labels: map[string]string{"org.opencontainers.image.title": name},
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
	}
	program, err := parts.Program(ctx, p.program)
	if err != nil {
		return s, err
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", name, err)
	}
	s.Files = []image.File{
		{Path: p.at, Data: text, Mode: 0o755},
		{Path: p.data, Dir: true, Mode: 0o700, User: p.user},
		{Path: "/healthcheck", Data: probe, Mode: 0o755},
		temporary,
	}
	if name == "cluster" {
		s.Files = append(s.Files, image.File{Path: "/run/kubeconfig", Dir: true, Mode: 0o700, User: p.user})
	}
	if p.machine == nil {
		return s, nil
	}
	more, err := p.fromMachine(program)
	s.Files = append(s.Files, more...)
	return s, err
}

// fromMachine is what a part takes from this machine: the programs that it calls, the
// libraries, and its own files beside the program.
func (p part) fromMachine(program string) ([]image.File, error) {
	all, err := image.FromMachine(p.machine...)
	if err != nil {
		return nil, err
	}
	own, err := image.Libraries(program)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, f := range all {
		there[f.Path] = true
	}
	for _, f := range own {
		if !there[f.Path] {
			all = append(all, f)
		}
	}
	all = append(all,
		image.File{Path: "/bin", Link: "usr/bin"},
		image.File{Path: "/etc/passwd", Data: fmt.Appendf(nil, "git:x:%d:%d::%s:/bin/bash\n", p.user, p.user, p.data), Mode: 0o644},
		image.File{Path: "/etc/group", Data: fmt.Appendf(nil, "git:x:%d:\n", p.user), Mode: 0o644},
	)
	assets := program + ".assets"
	err = filepath.WalkDir(assets, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(file)
		all = append(all, image.File{Path: path.Join("/usr/share/gitea", filepath.ToSlash(strings.TrimPrefix(file, assets))), Data: text, Mode: 0o644})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return all, err
}
