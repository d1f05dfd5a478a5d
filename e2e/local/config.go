package local

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// FreePort finds a port of the loopback address that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// settings fill the config's template.
type settings struct {
	Data, Registry, GitURL, GitUser, GitToken   string
	Provider, Kubeconfig, RegistrySecret        string
	GitSecret, BusToken, Embedded               string
	Hooks, Metrics, Bus, Quiet, Sweep, Policies string
}

// The config of a world; one template, so that every program reads the same.
var configTemplate = template.Must(template.New("config").Parse(`# Written by e2e/local.
cluster: local
data: {{.Data}}
{{- if .Embedded}}
bus: {embedded: {sync: {{.Embedded}}, listen: "{{.Bus}}"}}
{{- else}}
bus: {url: "nats://{{.Bus}}", credentials: {token: {file: {{.BusToken}}}}}
{{- end}}
listen: {hooks: "{{.Hooks}}", api: "127.0.0.1:0", metrics: "{{.Metrics}}"}
registries:
- {host: "{{.Registry}}", endpoint: "http://{{.Registry}}", insecure: true}
repositories:
- url: {{.GitURL}}
  branch: main
{{- if .GitToken}}
  credentials: {user: {{.GitUser}}, token: {file: {{.GitToken}}}}
{{- end}}
  roots: [{cluster: local, path: clusters/local}]
  policies: [{path: {{.Policies}}, applications: ["**"]}]
receivers:
  sources:
  - {name: registry, provider: distribution, secrets: [{file: {{.RegistrySecret}}}]}
  - {name: git, provider: {{.Provider}}, secrets: [{file: {{.GitSecret}}}]}
automator:
  debounce: {quiet: {{.Quiet}}, longest: 1s}
synchronizer: {kubeconfig: {{.Kubeconfig}}, trusted: [slipway-system]}
sweep: {interval: {{.Sweep}}}
`))

// writeConfig writes a program's config file and gives its path.
func (w *World) writeConfig(name string, s settings) (string, error) {
	var b strings.Builder
	if err := configTemplate.Execute(&b, s); err != nil {
		return "", fmt.Errorf("write config: %w", err)
	}
	file := filepath.Join(w.opts.Dir, name+".yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return "", fmt.Errorf("write config: %w", err)
	}
	return file, nil
}

func (w *World) secret(name, value string) (string, error) {
	file := filepath.Join(w.opts.Dir, "secrets", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("write secret %s: %w", name, err)
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write secret %s: %w", name, err)
	}
	return file, nil
}
