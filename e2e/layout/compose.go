package layout

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// composeFile is what the rules need of docker-compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image       string         `json:"image"`
		Healthcheck map[string]any `json:"healthcheck"`
		Ports       []string       `json:"ports"`
	} `json:"services"`
}

var (
	// topKeys are those that Compose 1.29 and 2 both take; version is of the past.
	topKeys = []string{"services", "volumes", "networks", "secrets", "configs"}
	// newer is what 1.29 refuses further below.
	newer  = regexp.MustCompile(`(?m)^\s*(start_interval|required|include|develop|pull_policy|attach):`)
	pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?(\d+\.\d+\.\d+)(-[a-z0-9.]+)?$`)
)

// ours begins the images that are built here.
const ours = "${SLIPWAY_IMAGES:-slipway}/"

// officials are the images of others, and the module, in a go.mod of its own, of which
// offline.yaml has the same program in the same version.
var officials = map[string]struct{ gomod, module string }{
	"nats":     {"e2e/nats/go.mod", "github.com/nats-io/nats-server/v2"},
	"registry": {"e2e/registry/go.mod", "github.com/distribution/distribution/v3"},
	"git":      {"e2e/githost/go.mod", "code.gitea.io/gitea"},
	"proxy":    {"e2e/caddy/go.mod", "github.com/caddyserver/caddy/v2"},
}

// Compose holds docker-compose.yaml and deploy/compose/offline.yaml: what both Composes
// take, health checks, no fixed port of what scales, and versions that are pinned and
// equal to those of the modules.
func Compose(root fs.FS) []string {
	base, faults := readCompose(root, "docker-compose.yaml")
	offline, more := readCompose(root, "deploy/compose/offline.yaml")
	if faults = append(faults, more...); len(faults) > 0 {
		return faults
	}
	for _, name := range slices.Sorted(maps.Keys(base.Services)) {
		s := base.Services[name]
		_, isService := fs.Stat(root, path.Join("services", name))
		if len(s.Healthcheck) == 0 && name != "slipway" { // the command ends by itself
			faults = append(faults, name+" has no healthcheck in docker-compose.yaml")
		}
		if isService == nil {
			if len(s.Ports) > 0 {
				faults = append(faults, name+" publishes a port of the machine: then it can't scale")
			}
			if _, err := fs.Stat(root, path.Join("deploy/compose/config", name+".yaml")); err != nil {
				faults = append(faults, "deploy/compose/config/ lacks "+name+".yaml")
			}
		}
		if !strings.HasPrefix(s.Image, ours) {
			faults = append(faults, official(root, name, s.Image, offline)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(offline.Services)) {
		if _, known := base.Services[name]; !known {
			faults = append(faults, "deploy/compose/offline.yaml has "+name+", which docker-compose.yaml lacks")
		}
		if image := offline.Services[name].Image; !strings.HasPrefix(image, ours) {
			faults = append(faults, "deploy/compose/offline.yaml takes "+image+" for "+name+", which must be pulled")
		}
	}
	return faults
}

// official holds one image of others.
func official(root fs.FS, name, image string, offline composeFile) []string {
	version := pinned.FindStringSubmatch(image)
	if version == nil {
		return []string{fmt.Sprintf("the image of %s, %q, has no pinned version", name, image)}
	}
	if _, replaced := offline.Services[name]; !replaced {
		return []string{"deploy/compose/offline.yaml lacks " + name}
	}
	of, known := officials[name]
	if !known {
		return []string{"the table of official images lacks " + name}
	}
	text, err := fs.ReadFile(root, of.gomod)
	if err != nil {
		return []string{err.Error()}
	}
	if !regexp.MustCompile(`(?m)\s` + regexp.QuoteMeta(of.module+" v"+version[1]) + `\b`).Match(text) {
		return []string{fmt.Sprintf("docker-compose.yaml has %s, and %s another version of %s", image, of.gomod, of.module)}
	}
	return nil
}

func readCompose(root fs.FS, name string) (composeFile, []string) {
	var f composeFile
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return f, []string{err.Error()}
	}
	var top map[string]any
	if err := yaml.Unmarshal(text, &top); err != nil {
		return f, []string{name + ": " + err.Error()}
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		return f, []string{name + ": " + err.Error()}
	}
	var faults []string
	for _, key := range slices.Sorted(maps.Keys(top)) {
		if !slices.Contains(topKeys, key) && !strings.HasPrefix(key, "x-") {
			faults = append(faults, name+" has "+key+", which not every Compose takes")
		}
	}
	for _, m := range newer.FindAllSubmatch(text, -1) {
		faults = append(faults, fmt.Sprintf("%s has %s, which Compose 1.29 refuses", name, m[1]))
	}
	return f, faults
}
