package deploy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// url is the first server's.
func (p *production) url() string { return "tls://" + p.BusProxy["automator"].Addr }

func (p *production) raw(t *testing.T, url, name string) *bustest.Raw {
	t.Helper()
	certs := p.nats.Certs
	return bustest.ConnectRaw(t, url, filepath.Join(certs, "ca.crt"), filepath.Join(certs, name+".crt"), filepath.Join(certs, name+".key"))
}

// options connect as who shows that certificate.
func (p *production) options(url, certificate, name string, inbox ...string) bus.Options {
	certs := p.nats.Certs
	return bus.Options{
		Name: name, URL: url, Inbox: inbox, Replicas: 3, Log: bustest.Silent(),
		TLS: bus.TLS{CA: filepath.Join(certs, "ca.crt"), Cert: filepath.Join(certs, certificate+".crt"), Key: filepath.Join(certs, certificate+".key")},
	}
}

// What no service may: what another says, has or hears, and what would lose
// something.
var refused = map[string][]string{
	"registry-receiver": {
		"slipway.ref.updated.x", "slipway.change.merged.x", "slipway.service.deployed.x", "slipway.hold.released.x",
		"slipwaydead.automator.x", "slipwaydead.git-receiver.aside.x", "slipwaywork.automator-repos.x.y", "slipwaylease.automator-repos.x", "slipwayreplay.automator.x",
		"$KV.slipway-slipway-tags.x", "$JS.API.STREAM.INFO.KV_slipway-slipway-tags", "$JS.API.DIRECT.GET.KV_slipway-slipway-tags.x",
		"$JS.API.CONSUMER.CREATE.SLIPWAY.spy", "$JS.API.CONSUMER.MSG.NEXT.SLIPWAY.automator", "$JS.API.CONSUMER.CREATE.SLIPWAY_WORK.spy", "$JS.API.DIRECT.GET.SLIPWAY.x", "$JS.API.STREAM.MSG.GET.SLIPWAY",
		"$JS.API.STREAM.UPDATE.SLIPWAY",
	},
	"git-receiver": {"slipway.artifact.published.x", "slipway.change.merged.x", "$JS.API.CONSUMER.CREATE.SLIPWAY.spy", "$KV.slipway-past.automator.SLIPWAY.1"},
	"automator": {
		"slipway.service.deployed.x", "slipway.pipelinerun.finished.x", "slipway.ref.updated.x", "slipway.artifact.deleted.x",
		"slipwaywork.synchronizer-local.x.y", "slipwaylease.synchronizer-local.x", "slipwaydead.synchronizer-local.x",
		"$JS.API.CONSUMER.CREATE.SLIPWAY.synchronizer-local", "$JS.API.CONSUMER.DELETE.SLIPWAY.synchronizer-local", "$JS.API.CONSUMER.DELETE.SLIPWAY.automator",
		"$JS.API.CONSUMER.MSG.NEXT.SLIPWAY.synchronizer-north", "$JS.ACK.SLIPWAY.synchronizer-local.1.1.1.1.0", "$KV.slipway-past.synchronizer-local.SLIPWAY.1",
		"$JS.API.STREAM.DELETE.KV_slipway-slipway-tags", "$JS.API.STREAM.UPDATE.KV_slipway-slipway-tags",
	},
	"synchronizer": {
		"slipway.change.merged.x", "slipway.artifact.published.x", "slipway.hold.placed.x", "slipway.approval.updated.x", "slipway.decision.made.x",
		"slipwaywork.automator-repos.x.y", "slipwaywork.synchronizer-north.x.y", "slipwaylease.synchronizer-north.x",
		"$KV.slipway-slipway-approvals.x", "$JS.API.STREAM.INFO.KV_slipway-slipway-approvals", "$JS.API.CONSUMER.CREATE.KV_slipway-slipway-approvals.x.y", "$JS.API.DIRECT.GET.KV_slipway-slipway-approvals.x",
		"$JS.API.CONSUMER.CREATE.SLIPWAY.spy", "$JS.API.CONSUMER.CREATE.SLIPWAY.automator", "$JS.API.CONSUMER.CREATE.SLIPWAY.synchronizer-north", "$JS.API.CONSUMER.MSG.NEXT.SLIPWAY.automator",
		"$JS.ACK.SLIPWAY.automator.1.1.1.1.0", "$JS.API.STREAM.UPDATE.SLIPWAY",
	},
	"slipway":  {"slipway.artifact.published.x", "slipway.approval.updated.x", "slipwaywork.automator-repos.x.y", "slipwayreplay.automator.x", "$KV.slipway-slipway-tags.x", "$JS.API.STREAM.CREATE.SLIPWAY", "$JS.API.CONSUMER.DELETE.SLIPWAY.automator"},
	"operator": {"slipway.artifact.published.x", "slipway.approval.updated.x", "$KV.slipway-slipway-approvals.x", "$JS.API.STREAM.MSG.DELETE.SLIPWAY", "$JS.API.CONSUMER.DELETE.SLIPWAY.automator"},
}

// everybody may none of these.
var everybody = []string{
	"$JS.API.STREAM.DELETE.SLIPWAY", "$JS.API.STREAM.PURGE.SLIPWAY", "$JS.API.STREAM.PURGE.SLIPWAY_WORK", "$JS.API.STREAM.MSG.DELETE.SLIPWAY", "$JS.API.STREAM.CREATE.OTHER",
	"$JS.API.STREAM.DELETE.KV_slipway-past", "$JS.API.CONSUMER.DELETE.SLIPWAY.synchronizer-local", "$JS.API.CONSUMER.DURABLE.CREATE.SLIPWAY.spy", "$JS.API.STREAM.SNAPSHOT.SLIPWAY", "$SYS.REQ.SERVER.PING", "other",
}

// refuses tries what must be refused.
func (p *production) refuses(t *testing.T) {
	for name, subjects := range refused {
		t.Run(name, func(t *testing.T) {
			raw := p.raw(t, p.url(), name)
			for _, subject := range append(subjects, everybody...) {
				if raw.MayPublish(t, subject) {
					t.Errorf("%s may publish to %s", name, subject)
				}
			}
			for _, subject := range []string{">", "slipway.>", "slipwaywork.>", "_INBOX.>", "_INBOX.other.>", "$KV.>", "$JS.>", "$SYS.>", "slipwaydead.>"} {
				if raw.MaySubscribe(t, subject) {
					t.Errorf("%s may subscribe to %s", name, subject)
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if b, err := bus.Connect(ctx, p.options(p.url(), "stranger", "stranger")); err == nil {
		b.Close()
		t.Error("a certificate that no user has may connect")
	}
	other := servicetest.NewCA(t)
	o := p.options(p.url(), "automator", "automator")
	dir := t.TempDir()
	cert, key := other.Issue(t, "automator", time.Hour)
	servicetest.Write(t, filepath.Join(dir, "tls.crt"), cert)
	servicetest.Write(t, filepath.Join(dir, "tls.key"), key)
	o.TLS.Cert, o.TLS.Key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if b, err := bus.Connect(ctx, o); err == nil {
		b.Close()
		t.Error("a certificate of another authority may connect")
	}
	o = p.options(strings.Replace(p.url(), "tls:", "nats:", 1), "automator", "automator")
	o.TLS = bus.TLS{}
	if b, err := bus.Connect(ctx, o); err == nil {
		b.Close()
		t.Error("who shows no certificate may connect")
	}
}

// tells holds that the services have each metric that alerts, boards and scaling
// name.
func (p *production) tells(t *testing.T) {
	_, err := p.Kubectl(t.Context(), "", "scale", "deployment", "web", "-n", "shop", "--replicas", "5")
	must(t, err) // which is drift
	var all strings.Builder
	must(t, parts.Eventually(t.Context(), 30*time.Second, func() error {
		all.Reset()
		for _, process := range p.Processes {
			if process.MetricsURL == "" {
				continue
			}
			text, err := process.Metrics(t.Context())
			if err != nil {
				return err
			}
			all.WriteString(text)
		}
		if lacking := missing(t, all.String()); len(lacking) > 0 {
			return lack(lacking)
		}
		return nil
	}))
	text, err := p.Process("registry-receiver").Metrics(t.Context())
	must(t, err)
	for _, use := range []string{"bus", "bus-server"} {
		if !strings.Contains(text, `slipway_certificate_expiry_timestamp_seconds{use="`+use+`"}`) {
			t.Errorf("registry-receiver doesn't tell when its certificate %s ends", use)
		}
	}
}

type lack []string

func (l lack) Error() string { return "no service has " + strings.Join(l, ", ") }

// replays gives a dead letter back as the operator; the service may write one.
func (p *production) replays(t *testing.T) {
	ctx := t.Context()
	receiver := bustest.Open(t, p.options(p.url(), "registry-receiver", "registry-receiver"))
	must(t, receiver.PutAside(ctx, "registry-receiver", "registry", []byte("{"), lack{"what it should have"}))
	operator := bustest.Open(t, p.options(p.url(), "operator", "operator"))
	letters, err := operator.Dead(ctx)
	must(t, err)
	if len(letters) != 1 || letters[0].Consumer != "registry-receiver" {
		t.Fatalf("the dead letters are %v", letters)
	}
	// It is a sender's body, which nobody can be given back: it is found, and stays.
	if err := operator.Replay(ctx, letters[0].ID); !errors.Is(err, bus.ErrAside) {
		t.Errorf("give it back: %v", err)
	}
	for _, err := range operator.Read(ctx, bus.ReadOptions{}) {
		must(t, err)
		break
	}
	// And by the command, as the runbook has it.
	config, err := os.ReadFile(p.Config)
	must(t, err)
	file := filepath.Join(t.TempDir(), "operator.yaml")
	must(t, os.WriteFile(file, []byte(strings.NewReplacer("/slipway.crt", "/operator.crt", "/slipway.key", "/operator.key").Replace(string(config))), 0o600))
	for args, want := range map[string]string{"get dead": "what it should have", fmt.Sprintf("replay %d", letters[0].ID): "put aside unread"} {
		out, _ := exec.CommandContext(ctx, filepath.Join(p.bin, "slipway"), append(strings.Fields(args), "--config", file)...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("slipway %s as operator: %s", args, out)
		}
	}
}

// joins has a cluster join by the manifests' leaf node: its synchronizer works over
// it, and may as much as its user, and not the hub's.
func (p *production) joins(t *testing.T) {
	ctx := t.Context()
	config, err := p.joined.Data("nats", "nats.conf")
	must(t, err)
	remote, err := p.joined.Data("nats", "remote.conf")
	must(t, err)
	leaf, addr, err := p.nats.LeafNode(config, remote, "leaf-north")
	must(t, err)
	must(t, leaf.Start())
	t.Cleanup(func() { _ = leaf.Stop() })
	o := p.options("tls://"+addr, "synchronizer", "synchronizer", "synchronizer", "north")
	o.Metrics = prometheus.NewRegistry()
	connecting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	b, err := bus.Connect(connecting, o)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, leaf.Tail(10), strings.Join(p.violations(), "\n"))
	}
	defer b.Close()
	heard, worked := make(chan string, 64), make(chan string, 1)
	running, end := context.WithCancel(ctx)
	done := make(chan error, 2)
	queue, err := b.Queue(ctx, "synchronizer-north", bus.QueueOptions{})
	must(t, err)
	go func() {
		done <- queue.Run(running, func(_ context.Context, w bus.Work) error { worked <- w.Key; return nil })
	}()
	go func() {
		s := bus.Subscription{Name: "synchronizer-north", Types: []events.Type{events.ChangeMergedType}}
		done <- b.Subscribe(running, s, func(_ context.Context, e events.Event) error {
			heard <- e.ID
			return nil
		})
	}()
	must(t, queue.Put(ctx, "shop/web", "sync"))
	bustest.Receive(t, "the work of the joined cluster", worked)
	bustest.Receive(t, "a change that the hub's automator told of", heard)
	end()
	must(t, <-done)
	must(t, <-done)

	// The leaf lets its one user say anything; the hub takes what the leaf may.
	raw := p.raw(t, "tls://"+addr, "synchronizer")
	for _, subject := range raw.Answered(t, "_INBOX.synchronizer.north.raw", "slipway.environment.modified.x",
		"slipway.change.merged.x", "slipwaywork.automator-repos.x.y", "slipwaywork.synchronizer-local.x.y", "$JS.API.STREAM.DELETE.SLIPWAY",
		"$JS.API.STREAM.INFO.KV_slipway-slipway-tags", "$JS.API.CONSUMER.DELETE.SLIPWAY.synchronizer-local", "$JS.API.CONSUMER.CREATE.SLIPWAY.spy") {
		t.Errorf("the hub answered %s of the leaf", subject)
	}
}

// reloads has the reloader of the manifests, run by a shell, tell a server of new
// certificates; the server then shows them.
func (p *production) reloads(t *testing.T) {
	script, err := p.overlay.Data("nats-reload", "reload.sh")
	must(t, err)
	file := filepath.Join(t.TempDir(), "reload.sh")
	must(t, os.WriteFile(file, []byte(script), 0o600))
	certs := p.nats.Certs
	reloader := exec.CommandContext(t.Context(), "sh", file, filepath.Join(p.nats.Dir, "nats-0", "nats.pid"), filepath.Join(certs, "nats.crt"), filepath.Join(certs, "nats.key"))
	reloader.Env = append(os.Environ(), "INTERVAL=0.1", "SETTLE=0.2")
	said, err := reloader.StdoutPipe()
	must(t, err)
	must(t, reloader.Start())
	defer func() { _, _ = reloader.Process.Kill(), reloader.Wait() }()
	if line, err := bufio.NewReader(said).ReadString('\n'); !strings.HasPrefix(line, "watching ") {
		t.Fatalf("the reloader says %q: %v", line, err)
	}
	before := p.shown(t)
	cert, key := p.ca.IssueFor(t, "nats", 3*time.Hour, "localhost")
	// They are not there at the same moment.
	servicetest.Write(t, filepath.Join(certs, "nats.crt"), cert)
	servicetest.Write(t, filepath.Join(certs, "nats.key"), key)
	must(t, parts.Eventually(t.Context(), 30*time.Second, func() error {
		if !p.shown(t).After(before) {
			return lack{"the new certificate"}
		}
		return nil
	}))
}

// shown is when the certificate ends that the first server shows now.
func (p *production) shown(t *testing.T) time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := bus.Connect(ctx, p.options(p.url(), "slipway", "slipway-command"))
	must(t, err)
	defer b.Close()
	return b.ServerCertificate().NotAfter
}
