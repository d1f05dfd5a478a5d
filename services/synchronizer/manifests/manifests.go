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

//go:embed synchronizer.yaml
var text string

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
	t, err := template.New("synchronizer.yaml").Funcs(template.FuncMap{
		"json": func(s string) (string, error) {
			quoted, err := json.Marshal(s) // JSON is YAML
			return string(quoted), err
		},
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("read our own manifests: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, o); err != nil {
		return "", fmt.Errorf("fill our own manifests: %w", err)
	}
	return b.String(), nil
}
