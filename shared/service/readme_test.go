package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// TestTheExamplesOfTheReadmeAreRight loads its config, with the source beside
// it.
func TestTheExamplesOfTheReadmeAreRight(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	run, ca := t.TempDir(), servicetest.NewCA(t)
	cert, key := ca.Issue(t, "hooks", time.Hour)
	if err := os.Mkdir(filepath.Join(run, "bus"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"tls.crt": cert, "tls.key": key, "senders.crt": ca.PEM(), "gitea": "a", "quay": "b", "collector": "c",
		"bus/ca.crt": ca.PEM(), "bus/tls.crt": cert, "bus/tls.key": key,
	} {
		servicetest.Write(t, filepath.Join(run, name), text)
	}
	var examples []string
	for i, part := range strings.Split(strings.ReplaceAll(string(text), "/run/secrets", run), "```") {
		if yaml, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
			examples = append(examples, yaml)
		}
	}
	if len(examples) != 6 {
		t.Fatalf("%d examples", len(examples))
	}
	c, err := service.Load(folder(t, examples[0], map[string]string{"quay.yaml": examples[1]}))
	if err != nil || len(c.Receivers.Sources) != 2 || c.Listen.TLS.ClientCA == "" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = service.Load(folder(t, examples[3], nil)); err != nil || *c.Tracing.Sample != 0.25 {
		t.Errorf("%+v, %v", c.Tracing, err)
	}
	if c, err = service.Load(folder(t, examples[4], nil)); err != nil || c.Sigstore.Roots != "/etc/slipway/trusted_root.json" {
		t.Errorf("%+v, %v", c.Sigstore, err)
	}
	if c, err = service.Load(folder(t, examples[5], nil)); err != nil || c.Bus.TLS.CA == "" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = service.Load(folder(t, examples[2], nil)); err != nil || c.Repositories[0].Host.Kind != "gitlab" {
		t.Errorf("%+v, %v", c, err)
	}
}
