// Package manifests has what runs a synchronizer in its cluster, as
// `slipway bootstrap` installs it and commits it.
package manifests

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

// What deploy/kubernetes takes as it is, and the config, which is a template.
var (
	//go:embed rbac.yaml
	rbac string
	//go:embed trusted.yaml
	trusted string
	//go:embed config.yaml
	config string
	//go:embed deployment.yaml
	deployment string
)

// What stands in the files for what the options say.
const (
	namespace = "namespace: slipway-system"
	image     = "image: ghcr.io/slipway-cd/synchronizer:latest"
)

// Options fill the manifests.
type Options struct {
	// Namespace is the synchronizer's, Cluster its cluster's name.
	Namespace, Cluster string
	// Repository, Branch and Path are where the root Application is.
	Repository, Branch, Path string
	Image, BusURL            string
	// Credentials says that the Git host's token is in Secret slipway-git; User
	// goes with it.
	Credentials bool
	User        string
}

// Synchronizer is a YAML stream.
func Synchronizer(o Options) (string, error) {
	filled, err := fill(o)
	if err != nil {
		return "", err
	}
	quoted, err := quote(o.Image)
	if err != nil {
		return "", fmt.Errorf("fill our own manifests: %w", err)
	}
	head := fmt.Sprintf(`# The Deploy Synchronizer of cluster %s, written by `+"`slipway bootstrap`"+`.
# The root Application applies this file like any other: to upgrade, change the image here.
`, o.Cluster)
	// The config's own text is the user's: nothing is replaced in it.
	before := strings.ReplaceAll(rbac+"---\n"+trusted, namespace, "namespace: "+o.Namespace)
	after := strings.NewReplacer(namespace, "namespace: "+o.Namespace, image, "image: "+quoted).Replace(deployment)
	return head + before + "---\n" + filled + "---\n" + after, nil
}

func fill(o Options) (string, error) {
	t, err := template.New("config.yaml").Funcs(template.FuncMap{"json": quote}).Parse(config)
	if err != nil {
		return "", fmt.Errorf("read our own manifests: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, o); err != nil {
		return "", fmt.Errorf("fill our own manifests: %w", err)
	}
	return b.String(), nil
}

func quote(s string) (string, error) {
	quoted, err := json.Marshal(s) // JSON is YAML
	return string(quoted), err
}
