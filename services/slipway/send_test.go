package slipway_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// topic is the one that sources of SNS take.
const topic = "arn:aws:sns:eu-central-1:123456789012:images"

// sentSource is a source whose push is sent, by the flags of `slipway send`
// that say what its config says.
type sentSource struct {
	service.Source
	flags []string
}

// sentSources are a source for each provider, and more where a config can
// choose the proof.
func sentSources() (all []sentSource) {
	for svc, table := range map[string][]webhook.Provider{"git": gitreceiver.Providers(), "registry": registryreceiver.Providers()} {
		for _, p := range table {
			s := service.Source{Name: svc + "-" + p.Name, Provider: p.Name, Registry: "registry.example.com"}
			if svc == "git" {
				s.Registry, s.Host = "", "git.example.com"
			}
			switch p.Name {
			case "aws-sns":
				s.Topics = []string{topic}
			case "generic":
				s.Mapping = map[string]string{"items": "body.builds", "repository": "'shop/' + item.name", "tag": "item.tag"}
			}
			all = append(all, sentSource{Source: s})
			for _, way := range proofs[p.Name] {
				other := s
				other.Name, other.Header, other.Signature = s.Name+"-by-"+way.name, way.header, way.signature
				all = append(all, sentSource{other, way.flags()})
			}
		}
	}
	return all
}

type way struct{ name, header, signature string }

func (w way) flags() (all []string) {
	if w.header != "" {
		all = append(all, "--secret-header", w.header)
	}
	if w.signature != "" {
		all = append(all, "--signature", w.signature)
	}
	return all
}

// proofs are what a source's config can choose.
var proofs = map[string][]way{
	"acr": {{"header", "X-Slipway", ""}}, "zot": {{"header", "X-Slipway", ""}}, "ecr": {{"header", "X-Slipway", ""}},
	"cloudsmith": {{"header", "X-Slipway", ""}}, "azure-eventgrid": {{"header", "X-Slipway", ""}}, "artifactory": {{"hmac", "", "hmac"}},
	"generic": {
		{"header", "X-Slipway", ""},
		{"hmac", "X-Signature", "hmac-sha256"},
		{"circleci", "circleci-signature", "hmac-sha256 prefix=v1="},
		{"hmac-sha512", "X-Signature", "hmac-sha512 encoding=base64"},
	},
}

// pushOfProvider are body and headers of a provider's own fixture.
func pushOfProvider(t *testing.T, source sentSource) (file string, flags []string) {
	t.Helper()
	svc, _, _ := strings.Cut(source.Name, "-")
	text, err := os.ReadFile(filepath.Join("..", svc+"-receiver", "provider", "testdata", source.Provider, "push.json"))
	if err != nil {
		t.Fatal(err)
	}
	var fixture struct {
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	if err := json.Unmarshal(text, &fixture); err != nil {
		t.Fatal(err)
	}
	for name, value := range fixture.Headers {
		if name == "X-Amz-Sns-Topic-Arn" {
			value = topic
		}
		flags = append(flags, "--header", name+": "+value)
	}
	file = filepath.Join(t.TempDir(), "push.json")
	if err := os.WriteFile(file, fixture.Body, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, flags
}

func run(args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = slipway.Main(args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestSendProvesItselfAsEachProviderDoes(t *testing.T) {
	t.Setenv("SECRET", frontSecret)
	t.Setenv("OTHER", "wr0ng/secret")
	f := newFront(t, frontOptions{config: func(cfg *service.Config) {
		secrets := cfg.Receivers.Sources[0].Secrets
		for _, s := range sentSources() {
			s.Secrets = secrets
			cfg.Receivers.Sources = append(cfg.Receivers.Sources, s.Source)
		}
	}})
	all := sentSources()
	slices.SortFunc(all, func(a, b sentSource) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			file, flags := pushOfProvider(t, s)
			url := "http://" + f.addr + "/hooks/" + s.Name
			args := slices.Concat([]string{"send", "--provider", s.Provider, "--url", url}, flags, s.flags)
			code, out, errs := run(append(args, "--secret-env", "SECRET", file)...)
			if code != 0 || !strings.HasPrefix(out, "202 ") || !strings.Contains(out, `"events":[{"id":`) {
				t.Errorf("exit %d, answered %s\n%s", code, out, errs)
			}
			code, out, errs = run(append(args, "--secret-env", "OTHER", file)...)
			inPath := code == 1 && strings.HasPrefix(out, "404 ") && strings.Contains(errs, "none of its secrets")
			if code != 3 && !inPath {
				t.Errorf("with another secret: exit %d, answered %s", code, out)
			}
			if !strings.Contains(errs, "The secret of a source of "+s.Provider+": ") || strings.Contains(errs+out, "wr0ng") {
				t.Errorf("with another secret stderr is %s", errs)
			}
		})
	}
}

func TestSendTellsHowATokenIsGiven(t *testing.T) {
	t.Setenv("SECRET", frontSecret)
	f := newFront(t, frontOptions{config: func(cfg *service.Config) {
		cfg.Receivers.Sources = append(cfg.Receivers.Sources, service.Source{
			Name: "pubsub", Provider: "gar", OIDC: &service.OIDC{Audience: "https://hooks.example.com/hooks/pubsub", Email: "push@acme.iam.gserviceaccount.com"},
		})
	}})
	file, flags := pushOfProvider(t, sentSource{Source: service.Source{Name: "registry-gar", Provider: "gar"}})
	args := slices.Concat([]string{"send", "--provider", "gar", "--url", "http://" + f.addr + "/hooks/pubsub"}, flags)
	for want, more := range map[int][]string{3: {file}, 1: {"--secret-env", "SECRET", file}} {
		code, out, errs := run(append(args, more...)...)
		if code != want || !strings.Contains(errs, "--header 'Authorization: Bearer …'") {
			t.Errorf("exit %d, answered %s, stderr %s", code, out, errs)
		}
	}
}

func TestSendTellsWhatItCannotProve(t *testing.T) {
	t.Setenv("SECRET", "s3cret/in-the-address")
	file := filepath.Join(t.TempDir(), "push.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags []string
		code  int
		says  string
	}{
		"SNS without a topic":             {[]string{"--provider", "aws-sns"}, 2, "name one of its topics in the header X-Amz-Sns-Topic-Arn"},
		"SNS with a header":               {[]string{"--provider", "aws-sns", "--secret-header", "X"}, 2, "basic credentials"},
		"a header where none is taken":    {[]string{"--provider", "harbor", "--secret-header", "X"}, 2, "provider harbor takes no header"},
		"a signature where none is taken": {[]string{"--provider", "acr", "--signature", "hmac"}, 2, "provider acr takes no signature"},
		"an unknown signature":            {[]string{"--provider", "artifactory", "--signature", "md5"}, 2, `"md5" is neither hmac nor left out`},
		"a signature without its header":  {[]string{"--provider", "generic", "--signature", "hmac-sha256"}, 2, "needs header"},
		"nobody there":                    {[]string{"--provider", "quay"}, 1, "send the webhook to 127.0.0.1:1: dial tcp"},
		"nobody there, by a query":        {[]string{"--provider", "azure-eventgrid"}, 1, "send the webhook to 127.0.0.1:1: dial tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := run(slices.Concat([]string{"send", "--url", "http://127.0.0.1:1/hooks/x", "--secret-env", "SECRET", file}, c.flags)...)
			if code != c.code || !strings.Contains(errs, c.says) || strings.Contains(errs, "s3cret") {
				t.Errorf("exit %d, stderr %s, want %d and %q", code, errs, c.code, c.says)
			}
		})
	}
	if code, _, errs := run("send", "--provider", "acr", "--url", "http://127.0.0.1:1/", "--secret-header", "X", file); code != 2 || !strings.Contains(errs, "need --secret-env") {
		t.Errorf("a header without a secret: exit %d, %s", code, errs)
	}
}
