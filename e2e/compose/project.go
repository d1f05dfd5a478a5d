// Package compose runs docker-compose.yaml: it builds the images, draws the secrets,
// starts what the services need, sets the Git host up and starts the services.
package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// Project is one installation on one engine.
type Project struct {
	Root  string // of the working copy
	Local string // the folder of what is drawn: secrets; empty: deploy/compose/.local
	// Name is the Compose project's; empty is what Compose itself takes, see [ownName].
	Name string
	// Images and Tag name our images: Images/automator:Tag.
	Images, Tag string
	// Offline takes images built here for NATS, registry, Git host and proxy.
	Offline bool
	// Ports of this machine.
	Ports Ports
	// Env is added to the environment of docker and Compose.
	Env []string
	// Out is told what is going on; it may be nil.
	Out io.Writer

	compose []string // the command
}

// Ports are where this machine reaches the containers; 0 is the usual one.
type Ports struct{ Hooks, API, Registry, Git int }

// Open finds the engine and the Compose command: `docker compose` or docker-compose,
// whichever is there.
func (p *Project) Open(ctx context.Context) error {
	if p.Name == "" {
		var err error
		if p.Name, err = ownName(ctx, p.Root); err != nil {
			return err
		}
	}
	def(&p.Local, filepath.Join(p.Root, "deploy/compose/.local"))
	def(&p.Images, "slipway")
	def(&p.Tag, "local")
	def(&p.Ports.Hooks, 8080)
	def(&p.Ports.API, 8081)
	def(&p.Ports.Registry, 5000)
	def(&p.Ports.Git, 3000)
	if _, err := p.Docker(ctx, "", "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("no Docker engine answers (is dockerd running, and DOCKER_HOST right?): %w", err)
	}
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		cmd := exec.CommandContext(ctx, command[0], append(command[1:], "version")...)
		if cmd.Run() == nil {
			p.compose = command
			return nil
		}
	}
	return errors.New("neither `docker compose` nor docker-compose is there: install Debian's docker-compose or Docker's compose plug-in")
}

// ownName is the name that Compose gives a project by itself, by the environment, a file
// .env or the folder, so that who runs it by hand has the same one.
func ownName(ctx context.Context, root string) (string, error) {
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, composeFile)}, cli.WithOsEnv, cli.WithEnvFiles(), cli.WithDotEnv)
	if err != nil {
		return "", fmt.Errorf("name the project: %w", err)
	}
	project, err := o.LoadProject(ctx)
	if err != nil {
		return "", fmt.Errorf("name the project: %w", err)
	}
	return project.Name, nil
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (p *Project) say(format string, args ...any) {
	if p.Out != nil {
		fmt.Fprintf(p.Out, format+"\n", args...)
	}
}

const composeFile = "docker-compose.yaml"

// Compose runs Compose on the project's files and gives what it prints.
func (p *Project) Compose(ctx context.Context, stdin string, args ...string) (string, error) {
	all := append([]string{}, p.compose[1:]...)
	all = append(all, "-f", filepath.Join(p.Root, composeFile))
	if p.Offline {
		all = append(all, "-f", filepath.Join(p.Root, "deploy/compose/offline.yaml"))
	}
	all = append(all, "-p", p.Name)
	return p.run(ctx, strings.NewReader(stdin), p.compose[0], append(all, args...))
}

// Docker runs docker and gives what it prints.
func (p *Project) Docker(ctx context.Context, stdin string, args ...string) (string, error) {
	return p.docker(ctx, strings.NewReader(stdin), args...)
}

func (p *Project) docker(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	return p.run(ctx, stdin, "docker", args)
}

func (p *Project) run(ctx context.Context, stdin io.Reader, program string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.Root
	cmd.Env = append(append(os.Environ(),
		"SLIPWAY_LOCAL="+p.Local, "SLIPWAY_IMAGES="+p.Images, "SLIPWAY_TAG="+p.Tag,
		fmt.Sprintf("SLIPWAY_HOOKS_PORT=%d", p.Ports.Hooks), fmt.Sprintf("SLIPWAY_API_PORT=%d", p.Ports.API),
		fmt.Sprintf("SLIPWAY_REGISTRY_PORT=%d", p.Ports.Registry), fmt.Sprintf("SLIPWAY_GIT_PORT=%d", p.Ports.Git),
	), p.Env...)
	cmd.Stdin = stdin
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		// The arguments may hold a password: the first word of what was asked is enough.
		return out.String(), fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// backing are what the services need; they are started, and set up, first.
var backing = []string{"nats", "registry", "git", "cluster", "proxy"}

// Up builds and starts everything, sets up what is new, and returns when all of it
// is healthy. scale says how many of a service there are, "automator=3".
func (p *Project) Up(ctx context.Context, scale ...string) error {
	p.say("building the images")
	if err := p.Load(ctx); err != nil {
		return err
	}
	if err := p.drawSecrets(); err != nil {
		return err
	}
	p.say("starting NATS, the registry, the Git host and the cluster")
	if _, err := p.Compose(ctx, "", append([]string{"up", "-d"}, backing...)...); err != nil {
		return err
	}
	if err := p.Healthy(ctx, backing...); err != nil {
		return err
	}
	if err := p.setUpGit(ctx); err != nil {
		return err
	}
	p.say("starting the services")
	if err := p.Scale(ctx, scale...); err != nil {
		return err
	}
	return p.bootstrap(ctx)
}

// Scale starts what doesn't run, as many as said, and waits until all is healthy.
func (p *Project) Scale(ctx context.Context, scale ...string) error {
	args := []string{"up", "-d"}
	for _, s := range scale {
		args = append(args, "--scale", s)
	}
	if _, err := p.Compose(ctx, "", args...); err != nil {
		return err
	}
	return p.Healthy(ctx, append(Services[:len(Services)-1:len(Services)-1], backing...)...)
}

// What Compose, of either version, labels containers, networks and volumes with.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelOneOff  = "com.docker.compose.oneoff" // of `run`
)

// Containers are the containers of a service, also those that have ended. The engine is
// asked: Compose 1 takes a second to start.
func (p *Project) Containers(ctx context.Context, service string) ([]string, error) {
	out, err := p.Docker(ctx, "", "ps", "-a", "-q", "--no-trunc",
		"--filter", "label="+labelProject+"="+p.Name, "--filter", "label="+labelService+"="+service, "--filter", "label="+labelOneOff+"=False")
	return strings.Fields(out), err
}

// healthTimeout is how long containers may take to become healthy on a busy machine.
const healthTimeout = 3 * time.Minute

// Healthy waits until every container of the services says that it is well.
func (p *Project) Healthy(ctx context.Context, services ...string) error {
	for _, service := range services {
		err := p.healthy(ctx, service)
		if err != nil {
			logs, _ := p.Compose(ctx, "", "logs", "--no-color", "--tail", "30", service)
			return fmt.Errorf("wait for %s: %w\n%s", service, err, logs)
		}
	}
	return nil
}

func (p *Project) healthy(ctx context.Context, service string) error {
	all, err := p.Containers(ctx, service)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s has no container", service)
	}
	return Eventually(ctx, healthTimeout, func() error {
		out, err := p.Docker(ctx, "", append([]string{"inspect", "--format", "{{.State.Health.Status}}"}, all...)...)
		if err != nil {
			return err
		}
		for status := range strings.FieldsSeq(out) {
			if status != "healthy" {
				return fmt.Errorf("%s is %s", service, status)
			}
		}
		return nil
	})
}

// Eventually calls check until it returns nil, ctx ends or the timeout has passed. It
// asks seldom: each question here is a process.
func Eventually(ctx context.Context, timeout time.Duration, check func() error) error {
	return parts.EventuallyEvery(ctx, 300*time.Millisecond, timeout, check)
}
