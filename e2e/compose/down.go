package compose

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Down stops everything and removes the containers; with volumes the data too.
//
// A network that the engine doesn't let go stays, which is said and is no error: somebody
// else's container is in it, or the engine has miscounted (moby/moby#43286, where many
// containers end at once), and only its own restart mends that. Compose 2 does the same;
// Compose 1 gives up there, before it has removed the data.
func (p *Project) Down(ctx context.Context, volumes bool) error {
	args := []string{"down", "--remove-orphans"}
	if volumes {
		args = append(args, "--volumes")
	}
	down := func() error {
		_, err := p.Compose(ctx, "", args...)
		return err
	}
	err := down()
	if keptNetwork(err) == "" {
		return err
	}
	// What was just removed may still be counted.
	const soon = 5 * time.Second
	err = Eventually(ctx, soon, down)
	network := keptNetwork(err)
	if network == "" {
		return err
	}
	p.say("The network %s stays: the engine says that a container is in it (docker network inspect %s). "+
		"If none is, it has miscounted, and removes it after a restart of its own.", network, network)
	if !volumes {
		return nil
	}
	return p.removeVolumes(ctx)
}

// keptNetwork is the network that the engine did not remove, by Compose's words.
func keptNetwork(err error) string {
	if err == nil {
		return ""
	}
	if found := activeEndpoints.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	return ""
}

var activeEndpoints = regexp.MustCompile(`network (\S+) (?:id \S+ )?has active endpoints`)

// Volumes are the project's.
func (p *Project) Volumes(ctx context.Context) ([]string, error) {
	out, err := p.Docker(ctx, "", "volume", "ls", "-q", "--filter", "label="+labelProject+"="+p.Name)
	return strings.Fields(out), err
}

func (p *Project) removeVolumes(ctx context.Context) error {
	all, err := p.Volumes(ctx)
	if err == nil && len(all) > 0 {
		_, err = p.Docker(ctx, "", append([]string{"volume", "rm"}, all...)...)
	}
	if err != nil {
		return fmt.Errorf("remove the data: %w", err)
	}
	return nil
}
