package setup

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/service"
)

//go:embed config.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New("config").Funcs(template.FuncMap{"q": quote}).Parse(configText))

// quote writes a text as YAML that is nothing else, whatever is in it: YAML has
// JSON's strings.
func quote(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// form is what the template reads.
type form struct {
	Answers
	RegistrySecret, GitSecret string // files; empty where the sender signs by itself
	GitHost                   string // of the source
	HostKind                  string // of the repository, where its address doesn't tell
	Insecure                  bool   // the registry's endpoint is plain HTTP
	SSH                       bool
}

// Text is the config that the answers make.
func (a Answers) Text() (string, error) {
	f := form{Answers: a, SSH: a.bySSH(), HostKind: a.hostKind()}
	if a.Registry.Provider != "aws-sns" && a.Registry.Email == "" {
		f.RegistrySecret = a.secretFile(registrySource)
	}
	if a.Git.Provider != "aws-sns" {
		f.GitSecret = a.secretFile(gitSource)
	}
	if name, err := events.ParseGitRepository(a.Git.URL, nil); err == nil {
		f.GitHost, _, _ = strings.Cut(string(name), "/")
	}
	if u, err := url.Parse(a.Registry.Endpoint); err == nil && u.Scheme == "http" {
		f.Insecure = true
	}
	var b strings.Builder
	if err := configTemplate.Execute(&b, f); err != nil {
		return "", fmt.Errorf("write the config: %w", err)
	}
	return b.String(), nil
}

// hostKind is what host.kind must say for pull requests; empty where the
// address tells it, or where none can be made.
func (a Answers) hostKind() string {
	if !slices.Contains(service.GitHostKinds(), a.Git.Provider) {
		return ""
	}
	if _, err := (service.Repository{URL: a.Git.URL}).PullRequests(); err == nil {
		return ""
	}
	return a.Git.Provider
}
