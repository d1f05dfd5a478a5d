package deploy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/services/slipway/grants"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// busNames are those who show the bus a certificate.
var busNames = []string{"registry-receiver", "git-receiver", "automator", "synchronizer", "slipway", "operator", "leaf-north", "stranger"}

// production is a world whose services have what the overlay production gives
// them: three NATS servers that know each by its certificate, and in the cluster
// the synchronizer's own account.
type production struct {
	*local.World
	nats *deploy.NATS
	bin  string
	ca   *servicetest.CA
	// overlay is production's, joined that of a cluster that joins.
	overlay, joined deploy.Objects
}

func startProduction(t *testing.T) *production {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	p := &production{bin: t.TempDir(), ca: servicetest.NewCA(t)}
	var err error
	p.overlay, err = deploy.Overlay(ctx, root(t), "production", "slipway-system")
	must(t, err)
	p.joined, err = deploy.Overlay(ctx, root(t), "leaf", "slipway-system")
	must(t, err)
	config, err := p.overlay.Data("nats", "nats.conf")
	must(t, err)
	program, err := parts.Program(ctx, parts.NATSProgram)
	must(t, err)
	p.nats = &deploy.NATS{
		Program: program, Dir: filepath.Join(dir, "nats"), Config: config, Certs: certificates(t, p.ca),
		Users: grants.Config(grants.Users("local", "north")),
	}
	p.World, err = local.Start(ctx, local.Options{
		Dir: dir, Bin: p.built(t), Separate: true, Idle: true, Sweep: 2 * time.Second,
		Bus: &local.Bus{Certs: p.nats.Certs, Processes: p.nats.Servers},
	})
	must(t, err)
	t.Cleanup(p.Stop)
	must(t, p.Cluster.Apply(ctx, p.overlay.Stream()))
	p.asAccount(t)
	for _, process := range p.Processes {
		must(t, process.Start())
	}
	p.must(t, p.Ready(ctx))
	must(t, p.Cluster.Apply(ctx, p.RootApplication()))
	return p
}

func (p *production) built(t *testing.T) string {
	t.Helper()
	must(t, local.Build(t.Context(), p.bin, "registry-receiver", "git-receiver", "automator", "synchronizer", "slipway"))
	return p.bin
}

// certificates writes those of the servers and of all who come.
func certificates(t *testing.T, ca *servicetest.CA) string {
	t.Helper()
	dir := t.TempDir()
	servicetest.Write(t, filepath.Join(dir, "ca.crt"), ca.PEM())
	for _, name := range append([]string{"nats"}, busNames...) {
		var hosts []string
		if name == "nats" {
			hosts = []string{"localhost"}
		}
		cert, key := ca.IssueFor(t, name, time.Hour, hosts...)
		servicetest.Write(t, filepath.Join(dir, name+".crt"), cert)
		servicetest.Write(t, filepath.Join(dir, name+".key"), key)
	}
	return dir
}

// asAccount has the synchronizer call the cluster as its ServiceAccount.
func (p *production) asAccount(t *testing.T) {
	t.Helper()
	token, err := p.Cluster.Kubectl(t.Context(), "create", "token", "synchronizer", "-n", "slipway-system", "--duration", "1h")
	must(t, err)
	file := filepath.Join(filepath.Dir(p.Config), "kubeconfig-synchronizer")
	config, err := clientcmd.LoadFromFile(file)
	must(t, err)
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	must(t, clientcmd.WriteToFile(*config, file))
}

// violations are what the servers refused.
func (p *production) violations() (all []string) {
	for _, process := range p.Processes {
		if !strings.HasPrefix(process.Name, "nats-") {
			continue
		}
		for line := range strings.Lines(process.Log()) {
			if strings.Contains(line, "Violation") {
				all = append(all, strings.TrimSpace(line))
			}
		}
	}
	return all
}

// must fails with what the servers refused, and what the services said last.
func (p *production) must(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	const last = 8
	var said []string
	for _, process := range p.Processes {
		said = append(said, "== "+process.Name, process.Tail(last))
	}
	t.Fatalf("%v\nrefused:\n%s\n%s", err, strings.Join(p.violations(), "\n"), strings.Join(said, "\n"))
}

// TestProductionWorksWithTheLeastRights brings a pushed image to running, as the
// overlay production lets the services, and tries what it doesn't let them.
func TestProductionWorksWithTheLeastRights(t *testing.T) {
	ctx, p := t.Context(), startProduction(t)
	p.must(t, p.AllReady(ctx, 3, nil))
	_, err := p.Push(ctx, local.WebImage, "1.1.0")
	must(t, err)
	p.must(t, parts.EventuallyEvery(ctx, 100*time.Millisecond, time.Minute, func() error {
		all, err := p.Health(ctx)
		if err != nil {
			return err
		}
		if web := all["web"]; !web.Ready || !strings.Contains(strings.Join(web.Images, " "), ":1.1.0") {
			return fmt.Errorf("web runs %v: %s", web.Images, web.Message)
		}
		return nil
	}))
	if all := p.violations(); len(all) > 0 {
		t.Fatalf("the bus refused what a service needs:\n%s", strings.Join(all, "\n"))
	}
	t.Run("what nobody may", p.refuses)
	t.Run("metrics", p.tells)
	t.Run("an operator gives a dead letter back", p.replays)
	t.Run("a cluster joins", p.joins)
	t.Run("a certificate is renewed", p.reloads)
	t.Run("nothing is allowed that nobody needs", p.needs)
}
