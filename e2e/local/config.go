package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// settings fill the config's template.
type settings struct {
	Cluster                                     string
	Data, Registry, RegistryEndpoint            string
	GitURL, GitUser, GitToken                   string
	Provider, Kubeconfig, RegistrySecret        string
	GitSecret, BusToken, Embedded               string
	Hooks, Metrics, Bus, Quiet, Sweep, Policies string
	API, Maria, Omar, Issuer, Tracing           string
	BusCA, BusCert, BusKey                      string // instead of a token
	BusReplicas, Concurrency                    int
	Repos                                       []configRepo // beside the first
}

type configRepo struct {
	URL  string
	Lent bool
}

// The config of a world; one template, so that every program reads the same.
var configTemplate = template.Must(template.New("config").Parse(`# Written by e2e/local.
cluster: {{.Cluster}}
data: {{.Data}}
{{- if .Embedded}}
bus: {embedded: {sync: {{.Embedded}}, listen: "{{.Bus}}"}}
{{- else if .BusCA}}
bus: {url: "tls://{{.Bus}}", tls: {ca: {{.BusCA}}, cert: {{.BusCert}}, key: {{.BusKey}}}, replicas: 3}
{{- else}}
bus: {url: "nats://{{.Bus}}", credentials: {token: {file: {{.BusToken}}}}{{if .BusReplicas}}, replicas: {{.BusReplicas}}{{end}}}
{{- end}}
listen: {hooks: "{{.Hooks}}", api: "{{.API}}", metrics: "{{.Metrics}}"}
registries:
- {host: "{{.Registry}}", endpoint: "http://{{.RegistryEndpoint}}", insecure: true}
repositories:
- url: {{.GitURL}}
  branch: main
{{- if .GitToken}}
  credentials: {user: {{.GitUser}}, token: {file: {{.GitToken}}}}
{{- end}}
{{- if eq .Provider "gitea"}}
  host: {kind: gitea}
{{- end}}
  roots: [{cluster: local, path: clusters/local}]
  policies: [{path: {{.Policies}}, applications: ["**"]}]
{{- range .Repos}}
- url: {{.URL}}
  credentials: {user: {{$.GitUser}}, token: {file: {{$.GitToken}}}}
{{- if .Lent}}
  documentsFrom: ["**"]
{{- else}}
  roots: [{cluster: local, path: clusters/local}]
  policies: [{path: policies, applications: ["**"]}]
{{- end}}
{{- end}}
# What the scripts' kustomizations may name beyond their repository.
remoteBases: ["http://127.0.0.1:*/bases/**"]
receivers:
  sources:
  - {name: registry, provider: distribution, secrets: [{file: {{.RegistrySecret}}}]}
  - {name: git, provider: {{.Provider}}, secrets: [{file: {{.GitSecret}}}]}
automator:
  debounce: {quiet: {{.Quiet}}, longest: 1s}
  people:
  - {name: maria, groups: [leads], token: {file: {{.Maria}}}}
  - {name: omar, groups: [shop], token: {file: {{.Omar}}}}
{{- if .Issuer}}
  oidc: [{issuer: "{{.Issuer}}", audience: slipway}]
{{- end}}
synchronizer: {kubeconfig: {{.Kubeconfig}}, trusted: [slipway-system], degradedAfter: 3s{{if .Concurrency}}, concurrency: {{.Concurrency}}{{end}}}
sweep: {interval: {{.Sweep}}}
{{- if .Tracing}}
tracing: {endpoint: "{{.Tracing}}"}
{{- end}}
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
