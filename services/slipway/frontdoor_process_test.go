package slipway_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// startFront runs both receivers as a process does, with their config in dir.
func startFront(t *testing.T, dir, tls, config string) (*front, *servicetest.Running) {
	t.Helper()
	f := &front{server: bustest.Server(t), log: &syncBuffer{}}
	f.bus = bustest.Connect(t, f.server.URL())
	r := servicetest.Start(t, dir, f.server.URL(), tls, config, gitreceiver.Part(), registryreceiver.Part())
	f.addr = r.Config.Listen.Hooks
	return f, r
}

const oneSource = "receivers:\n  sources:\n  - {name: github, provider: github, secrets: [%s]}\n"

func secretFile(t *testing.T, dir, name, value string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	servicetest.Write(t, file, value+"\n")
	return fmt.Sprintf("{file: %s}", file)
}

func TestZ29AReceiverThatIsToldToEndFinishesWhatItReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, r := startFront(t, dir, "", fmt.Sprintf(oneSource, secretFile(t, dir, "secret", frontSecret)))
	finishes(t, f, r.End)
}

func TestHealthIsToldWithoutTLS(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), servicetest.NewCA(t)
	cert, key := ca.Issue(t, "hooks", time.Hour)
	for name, text := range map[string]string{"cert": cert, "key": key, "ca": ca.PEM()} {
		servicetest.Write(t, filepath.Join(dir, name), text)
	}
	_, r := startFront(t, dir, fmt.Sprintf("  tls: {cert: %[1]s/cert, key: %[1]s/key, clientCA: %[1]s/ca}\n", dir), "")
	var out bytes.Buffer
	args := []string{"healthcheck", "--url", "http://" + r.Config.Listen.Metrics + "/readyz"}
	if code := slipway.Main(args, nil, &out, &out); code != 0 {
		t.Errorf("exit %d: %s", code, &out)
	}
}

func TestAReceiverRefusesAProviderThatNobodyTakes(t *testing.T) {
	for name, run := range map[string]func(string) error{
		"git-receiver": func(file string) error {
			cfg, err := service.Load(file)
			if err != nil {
				return err
			}
			return gitreceiver.Run(t.Context(), cfg)
		},
		"slipway up": func(file string) error {
			var out bytes.Buffer
			if code := slipway.Main([]string{"up", "--config", file}, nil, &out, &out); code != 2 {
				return fmt.Errorf("exit %d: %s", code, &out)
			}
			return fmt.Errorf("%s", &out)
		},
	} {
		file := filepath.Join(t.TempDir(), "slipway.yaml")
		servicetest.Write(t, file, "bus: {url: nats://127.0.0.1:1}\nreceivers: {sources: [{name: a, provider: git-hub, insecure: true}]}\n")
		if err := run(file); err == nil || !bytes.Contains([]byte(err.Error()), []byte(`"git-hub" is not known (did you mean github?`)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// traffic sends, on and on, what nobody may refuse.
type traffic struct {
	secrets atomic.Pointer[[]string] // with which it signs, in turn
	sent    atomic.Int64
	stop    chan struct{}
	all     sync.WaitGroup
}

func (f *front) traffic(t *testing.T, secrets ...string) *traffic {
	t.Helper()
	tr := &traffic{stop: make(chan struct{})}
	tr.secrets.Store(&secrets)
	tr.all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-tr.stop:
				return
			default:
			}
			signs := *tr.secrets.Load()
			secret := signs[i%len(signs)]
			got, err := f.try(t, f.addr, github(pushOf("refs/heads/main", fmt.Sprint(i))).signedAt(secret, time.Now()))
			if got.status == http.StatusTooManyRequests {
				continue // a fast machine sends more than the source's rate
			}
			if err != nil || got.status != http.StatusAccepted {
				t.Errorf("%q is answered %d %s, %v", secret, got.status, got.body, err)
				return
			}
			tr.sent.Add(1)
		}
	})
	return tr
}

// signs changes the secrets, and returns when none of the former is under way.
func (tr *traffic) signs(t *testing.T, secrets ...string) {
	t.Helper()
	tr.secrets.Store(&secrets)
	at := tr.sent.Load()
	bustest.Until(t, "traffic goes on", func() bool { return t.Failed() || tr.sent.Load() > at+1 })
}

func (tr *traffic) end() {
	close(tr.stop)
	tr.all.Wait()
}

// TestSecretsInFilesRotateUnderTraffic writes the new secret over the first of
// two files, then over the second.
func TestSecretsInFilesRotateUnderTraffic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, _ := startFront(t, dir, "", fmt.Sprintf(oneSource, secretFile(t, dir, "current", "0ld")+", "+secretFile(t, dir, "former", "0ld")))
	status := func(secret string) int { return f.send(t, github(push).signedAt(secret, time.Now())).status }
	tr := f.traffic(t, "0ld")
	secretFile(t, dir, "current", "n3w")
	bustest.Until(t, "the new secret is taken", func() bool { return status("n3w") == http.StatusAccepted })
	tr.signs(t, "0ld", "n3w")
	tr.signs(t, "n3w")
	secretFile(t, dir, "former", "n3w")
	bustest.Until(t, "the old secret is refused", func() bool { return status("0ld") == http.StatusUnauthorized })
	tr.end()
}

// TestSourcesComeAndGoUnderTraffic adds, breaks and takes away files of
// sources.d; the source of the config itself is never refused.
func TestSourcesComeAndGoUnderTraffic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := secretFile(t, dir, "secret", frontSecret)
	f, r := startFront(t, dir, "", fmt.Sprintf(oneSource, secret))
	tr := f.traffic(t, frontSecret)
	folder := filepath.Join(dir, "sources.d")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	gitea := gitHook("gitea", "gitea", "push", push).signed()
	quay := registryHook("quay", `{"repository":"a/b","docker_url":"quay.io/a/b","updated_tags":["1"]}`)
	becomes := func(what string, h hook, status int) {
		t.Helper()
		bustest.Until(t, what, func() bool { return f.send(t, h).status == status })
	}
	usable := func(want bool) {
		t.Helper()
		for _, name := range []string{"git-receiver", "registry-receiver"} {
			bustest.Until(t, fmt.Sprintf("%s has the config in force: %v", name, want), func() bool { return r.Usable(t, name) == want })
		}
	}
	becomes("unknown", gitea, http.StatusNotFound)
	source := func(name, fields string) { servicetest.Write(t, filepath.Join(folder, name), fields) }
	source("gitea.yaml", "{name: gitea, provider: gitea, secrets: ["+secret+"]}")
	source("quay.yaml", "{name: quay, provider: quay, secrets: ["+secret+"]}")
	becomes("added", gitea, http.StatusAccepted)
	becomes("added", quay, http.StatusAccepted)
	source("gitea.yaml", "{name: gitea, provider: gitee, secrets: ["+secret+"]}")
	becomes("changed: the proof is another provider's", gitea, http.StatusUnauthorized)
	source("bad.yaml", "{name: quay, provider: harbor}")
	usable(false)
	source("gitea.yaml", "{name: gitea, provider: gitea, secrets: ["+secret+"]}")
	becomes("the old config is in force", quay, http.StatusAccepted)
	if err := os.Remove(filepath.Join(folder, "bad.yaml")); err != nil {
		t.Fatal(err)
	}
	becomes("changed again", gitea, http.StatusAccepted)
	usable(true)
	if err := os.Remove(filepath.Join(folder, "gitea.yaml")); err != nil {
		t.Fatal(err)
	}
	becomes("taken away", gitea, http.StatusNotFound)
	tr.end()
	t.Logf("%d webhooks, none refused", tr.sent.Load())
}
