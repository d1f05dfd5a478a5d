package registryreceiver_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// recipe is a section of RECIPES.md.
type recipe struct {
	name   string
	config string // slipway.yaml
	blocks []block
}

type block struct{ language, file, text string }

var (
	sections = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fences   = regexp.MustCompile("(?ms)^```([a-z]+) ?(\\S*)\n(.*?)^```$")
)

// recipes are those of the page, by name; one without a source of its own has
// that of the page.
func recipes(t *testing.T) map[string]recipe {
	t.Helper()
	page, err := os.ReadFile("RECIPES.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]recipe{}
	usual := ""
	// A # in a fence is no heading.
	blank := fences.ReplaceAllFunc(page, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n#"), []byte("\n ")) })
	at := sections.FindAllSubmatchIndex(blank, -1)
	for i, m := range at {
		end := len(page)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		r := recipe{name: string(page[m[2]:m[3]]), config: usual}
		for _, f := range fences.FindAllSubmatch(page[m[1]:end], -1) {
			b := block{string(f[1]), string(f[2]), string(f[3])}
			if b.file == "slipway.yaml" {
				r.config = b.text
				continue
			}
			r.blocks = append(r.blocks, b)
		}
		if usual == "" {
			usual = r.config
		}
		if len(r.blocks) > 0 {
			all[r.name] = r
		}
	}
	return all
}

// shelf keeps what is published.
type shelf struct {
	mu   sync.Mutex
	kept []events.Event
}

func (s *shelf) Publish(_ context.Context, evs ...events.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, evs...)
	return nil
}

func (s *shelf) Has(_ context.Context, e events.Event, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.kept, func(kept events.Event) bool { return kept.ID == e.ID }), nil
}

func (s *shelf) PutAside(context.Context, string, string, []byte, error) error {
	return errors.New("no recipe's body is put aside")
}

const recipeSecret = "6f1d4c9be0a74c07a5f2"

// serve is a receiver with the recipe's config, read from a file as every
// config is. It can't store the first delivery.
func (r recipe) serve(t *testing.T) (*httptest.Server, *shelf) {
	t.Helper()
	t.Setenv("SLIPWAY_SECRET", recipeSecret)
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(file, []byte("bus: {embedded: {}}\n"+r.config), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{}
	door, err := webhook.New("registry-receiver", cfg, registryreceiver.Providers(), s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.name == "Jenkins" && asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		door.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	return server, s
}

const (
	commit = "1dc6aa69429bff4806ad6afe58d3d8f57e25973e"
	digest = "sha256:4b5e57f6eb2f42b9039b3d1e13929295f231749c510cbe341cd68036d9af97e2"
)

// told are what each recipe gives, and what its CI sets.
var told = map[string]struct {
	env  map[string]string
	want events.Artifact
	gone bool
}{
	"Jenkins": {map[string]string{"BUILD_TAG": "jenkins-web-17", "BUILD_NUMBER": "17"}, events.Artifact{Tag: "1.4.17", DeliveryID: "jenkins-web-17"}, false},
	"CircleCI": {
		map[string]string{"CIRCLE_WORKFLOW_JOB_ID": "8b91f9a8", "CIRCLE_SHA1": commit, "CIRCLE_USERNAME": "maria"},
		events.Artifact{Tag: commit, DeliveryID: "8b91f9a8", Pusher: "maria"},
		false,
	},
	"Travis CI": {map[string]string{"TRAVIS_JOB_ID": "42", "TRAVIS_COMMIT": commit}, events.Artifact{Tag: commit, DeliveryID: "42"}, false},
	"GitHub Actions": {
		map[string]string{"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SHA": commit, "GITHUB_ACTOR": "octocat", "steps.push.outputs.digest": digest, "secrets.SLIPWAY_SECRET": recipeSecret},
		events.Artifact{Tag: commit, Digest: digest, DeliveryID: "7.2", Pusher: "octocat"},
		false,
	},
	"GitLab CI": {map[string]string{"CI_JOB_ID": "31", "CI_COMMIT_SHA": commit, "GITLAB_USER_LOGIN": "maria"}, events.Artifact{Tag: commit, DeliveryID: "31", Pusher: "maria"}, false},
	"A clean-up job that deletes tags": {
		map[string]string{"TAG": "1.3.9", "SLIPWAY_URL": "https://hooks.example.com/hooks/ci"}, events.Artifact{Tag: "1.3.9"}, true,
	},
	"CDEvents from any job": {
		map[string]string{"TAG": "1.4.2", "DIGEST": digest, "RUN": "run-7", "USER": "maria"},
		events.Artifact{Tag: "1.4.2", Digest: digest, Provider: "cdevents", Source: "cdevents", DeliveryID: "/ci/shop/web run-7", Pusher: "maria"},
		false,
	},
	"CircleCI's own webhook": {nil, events.Artifact{
		Tag: commit, Source: "circleci", DeliveryID: "3888f21b-eaa7-38e3-8f3d-75a63bba8895", PushedAt: pushed(128 * time.Millisecond),
	}, false},
	"GitHub's workflow_run": {nil, events.Artifact{
		Tag: commit, Source: "workflows", DeliveryID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Pusher: "octocat", PushedAt: pushed(0),
	}, false},
	"GitLab's pipeline events": {nil, events.Artifact{
		Registry: "registry.gitlab.com", Repository: "acme/web", Tag: commit, Source: "pipelines", DeliveryID: "31", Pusher: "maria",
	}, false},
	"Jenkins' Notification plugin": {nil, events.Artifact{Tag: "1.4.17", Source: "jenkins", DeliveryID: "https://jenkins.example.com/job/web/17/"}, false},
}

func pushed(after time.Duration) *time.Time {
	at := time.Date(2026, 11, 23, 20, 15, 3, 0, time.UTC).Add(after)
	return &at
}

func TestEveryRecipeGivesItsEvent(t *testing.T) {
	all := recipes(t)
	if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, slices.Sorted(maps.Keys(told))) {
		t.Fatalf("the page has %q", names)
	}
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			server, kept := r.serve(t)
			sent := 0
			for _, b := range r.blocks {
				b.text = strings.ReplaceAll(b.text, "https://hooks.example.com", server.URL)
				if b.language == "http" {
					b.post(t, server.URL)
					sent++
					continue
				}
				sent += b.run(t, strings.ReplaceAll(told[name].env["SLIPWAY_URL"], "https://hooks.example.com", server.URL), told[name].env)
			}
			if sent != 1 {
				t.Errorf("%d deliveries are in it", sent)
			}
			kept.holds(t, told[name].want, told[name].gone)
		})
	}
}

// others are deliveries of the same webhooks that no image follows from.
var others = map[string][]string{
	"CircleCI's own webhook": {
		`{"type":"workflow-completed","id":"1","workflow":{"name":"main","status":"success"}}`,
		`{"type":"job-completed","id":"1","job":{"name":"publish","status":"failed"}}`,
		`{"type":"job-completed","id":"1","job":{"name":"publish","status":"success"},"pipeline":{"vcs":{"tag":"v1"}}}`,
	},
	"GitHub's workflow_run":        {`{"zen":"Design for failure.","hook_id":1}`, `{"action":"requested","workflow_run":{"name":"publish","conclusion":null}}`},
	"GitLab's pipeline events":     {`{}`, `{"object_kind":"push","ref":"refs/heads/main"}`, `{"object_kind":"pipeline","object_attributes":{"status":"running","ref":"main"}}`},
	"Jenkins' Notification plugin": {`{"name":"web","build":{"phase":"STARTED","number":17}}`, `{"name":"web","build":{"phase":"FINALIZED","status":"FAILURE"}}`},
}

func TestARecipeLeavesOutWhatIsNoPush(t *testing.T) {
	all := recipes(t)
	for name, bodies := range others {
		for _, body := range bodies {
			t.Run(name, func(t *testing.T) {
				server, kept := all[name].serve(t)
				head, _, _ := strings.Cut(all[name].blocks[0].text, "\n\n")
				if strings.Contains(body, "zen") {
					head = strings.ReplaceAll(head, "X-GitHub-Event: workflow_run", "X-GitHub-Event: ping")
				}
				block{"http", "", head + "\n\n" + body}.post(t, server.URL)
				if len(kept.kept) != 0 {
					t.Errorf("%s gives %d events", body, len(kept.kept))
				}
			})
		}
	}
}

// holds compares the one event; what every recipe has in common is left out of
// want.
func (s *shelf) holds(t *testing.T, want events.Artifact, gone bool) {
	t.Helper()
	for field, usual := range map[*string]string{
		&want.Registry: "registry.example.com", &want.Repository: "shop/web", &want.Provider: "generic", &want.Source: "ci",
	} {
		if *field == "" {
			*field = usual
		}
	}
	if len(s.kept) != 1 {
		t.Fatalf("gives %d events", len(s.kept))
	}
	var got events.Artifact
	switch p := s.kept[0].Payload.(type) {
	case events.ArtifactPublished:
		got = p.Artifact
	case events.ArtifactDeleted:
		got = p.Artifact
		if !gone {
			t.Error("it is a delete")
		}
	}
	if want.PushedAt != nil && got.PushedAt != nil && want.PushedAt.Equal(*got.PushedAt) {
		got.PushedAt = want.PushedAt
	} else if want.Source == "cdevents" {
		got.PushedAt = nil // it is now
	}
	if got != want || gone == (s.kept[0].Type() == events.ArtifactPublishedType) {
		t.Errorf("gives %+v of %s, want %+v", got, s.kept[0].Type(), want)
	}
}

// post sends a request of the page, with the proof filled in, and before that
// with others that must be refused.
func (b block) post(t *testing.T, url string) {
	t.Helper()
	head, body, _ := strings.Cut(b.text, "\n\n")
	proof := func(secret string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return strings.NewReplacer(
			"{HMAC-SHA256 of the body}", hex.EncodeToString(mac.Sum(nil)), "{the secret}", secret,
			"{base64 of slipway:SECRET}", base64.StdEncoding.EncodeToString([]byte("slipway:"+secret)),
		).Replace(head)
	}
	for _, c := range []struct {
		head, body string
		status     int
	}{{proof("another"), body, http.StatusUnauthorized}, {head, body, http.StatusUnauthorized}, {proof(recipeSecret), body, http.StatusAccepted}} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.head + "\nHost: x\n\n")))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), r.Method, url+r.URL.Path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = r.Header
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status {
			t.Errorf("answered %d %s, want %d, for\n%s", resp.StatusCode, answer, c.status, c.head)
		}
	}
}

var (
	groovyShell = regexp.MustCompile(`(?s)sh '''(.*?)'''`)
	groovyEnv   = regexp.MustCompile(`(?m)^ *([A-Z_]+) = '(.*)'$`)
	expression  = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)
)

// run runs the steps of a CI's file that call curl, with the variables that
// the file and the CI set and no others, and gives how many there were.
func (b block) run(t *testing.T, url string, env map[string]string) int {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT RUN: there is no %s (`make deps`)", tool)
		}
	}
	all := maps.Clone(env)
	all["PATH"], all["SLIPWAY_SECRET"] = os.Getenv("PATH"), recipeSecret
	if url != "" {
		all["SLIPWAY_URL"] = url
	}
	var scripts []string
	switch b.language {
	case "sh":
		scripts = []string{b.text}
	case "groovy":
		if strings.Contains(b.text, `\`) {
			t.Error("Groovy takes away the backslashes")
		}
		for _, m := range groovyEnv.FindAllStringSubmatch(b.text, -1) {
			all[m[1]] = m[2]
		}
		for _, m := range groovyShell.FindAllStringSubmatch(b.text, -1) {
			scripts = append(scripts, m[1])
		}
	case "yaml":
		delete(all, "SLIPWAY_SECRET")
		if !strings.Contains(b.text, "secrets.SLIPWAY_SECRET") {
			all["SLIPWAY_SECRET"] = recipeSecret // others' stores set it by themselves
		}
		var file yaml.Node
		if err := yaml.Unmarshal([]byte(b.text), &file); err != nil {
			t.Fatal(err)
		}
		scripts = steps(t, &file, all)
	}
	for _, script := range scripts {
		cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", script)
		for name, value := range all {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"events":[{`)) {
			t.Errorf("%v: %s\n%s", err, out, script)
		}
	}
	return len(scripts)
}

// steps gathers the scripts of a YAML file that call curl, and what it puts
// into the environment.
func steps(t *testing.T, n *yaml.Node, env map[string]string) (scripts []string) {
	t.Helper()
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "curl ") {
		scripts = append(scripts, n.Value)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains([]string{"env", "environment", "variables"}, n.Content[i-1].Value) {
			variables(t, child, env)
		}
		scripts = append(scripts, steps(t, child, env)...)
	}
	return scripts
}

// variables are a mapping, or a list of NAME=value below global, as Travis CI
// has it.
func variables(t *testing.T, n *yaml.Node, env map[string]string) {
	t.Helper()
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		if value.Kind == yaml.SequenceNode {
			for _, line := range value.Content {
				name, text, _ := strings.Cut(line.Value, "=")
				env[name] = text
			}
			continue
		}
		env[name] = expression.ReplaceAllStringFunc(value.Value, func(s string) string {
			text, ok := env[expression.FindStringSubmatch(s)[1]]
			if !ok {
				t.Errorf("%s is nothing that the CI sets", s)
			}
			return text
		})
	}
}
