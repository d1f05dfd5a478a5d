package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/compose"
	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/freeport"
)

// scaled are the services of docker-compose.yaml that may have replicas.
var scaled = []string{"registry-receiver", "git-receiver", "automator", "synchronizer"}

// The whole of docker-compose.yaml on a real engine, with the offline images.
func TestComposeLosesNothingWhenAReplicaOfEachServiceDies(t *testing.T) {
	p := composeProject(t)
	if err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	containersAreLocked(t, p)
	apps := seedApps(t, p, 5)
	tell(t, p, "web")

	three := make([]string, 0, len(scaled))
	for _, s := range scaled {
		three = append(three, s+"=3")
	}
	if err := p.Scale(t.Context(), three...); err != nil {
		t.Fatal(err)
	}
	for _, s := range scaled {
		if all, err := p.Containers(t.Context(), s); err != nil || len(all) != 3 {
			t.Fatalf("%s has %d containers (%v), not 3", s, len(all), err)
		}
	}
	digests := release(t, p, apps, "1.1.0", func() { killOneOfEach(t, p) })
	applied(t, p, apps, digests)
	once(t, p, digests)

	// Without those that died the next release comes too, and with them again.
	digests = release(t, p, apps, "1.2.0", nil)
	applied(t, p, apps, digests)
	once(t, p, digests)

	downLeavesOnlyWhatIsNotOurs(t, p)
}

// downLeavesOnlyWhatIsNotOurs takes all down while a container of somebody else's is in
// the network: the network stays, the data doesn't.
func downLeavesOnlyWhatIsNotOurs(t *testing.T, p *compose.Project) {
	t.Helper()
	guest, err := p.Docker(t.Context(), "", "run", "-d", "--network", p.Name+"_default", "--entrypoint", "nats-server", p.Images+"/nats:"+p.Tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Down(t.Context(), true); err != nil {
		t.Error("down with a guest in the network: ", err)
	}
	volumes, err := p.Volumes(t.Context())
	if err != nil || len(volumes) > 0 {
		t.Errorf("these volumes are left (%v): %s", err, volumes)
	}
	// The network goes with the test's own down, if the engine has counted right.
	if _, err := p.Docker(t.Context(), "", "rm", "-f", "-v", strings.TrimSpace(guest)); err != nil {
		t.Fatal(err)
	}
}

// composeProject is docker-compose.yaml on the engine that runs, or on one of the test's own.
func composeProject(t *testing.T) *compose.Project {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	p := &compose.Project{
		Root: root, Local: filepath.Join(t.TempDir(), "local"), Offline: true,
		Name: fmt.Sprintf("slipway-e2e-%d", os.Getpid()), Images: "slipway-e2e", Out: testLog{t},
	}
	for _, port := range []*int{&p.Ports.Hooks, &p.Ports.API, &p.Ports.Registry, &p.Ports.Git} {
		if *port, err = freeport.Take(); err != nil {
			t.Fatal(err)
		}
	}
	if !compose.Running(t.Context()) {
		engineOfOurOwn(t, p)
	}
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			logs, _ := p.Compose(ctx, "", "logs", "--no-color", "--tail", "40")
			t.Log(logs)
		}
		if err := p.Down(ctx, true); err != nil {
			t.Error(err)
		}
	})
	return p
}

// engineOfOurOwn starts dockerd; where that can't be the test is skipped, but in CI.
func engineOfOurOwn(t *testing.T, p *compose.Project) {
	t.Helper()
	_, missing := exec.LookPath("dockerd")
	if os.Getuid() != 0 {
		missing = errors.Join(missing, errors.New("dockerd needs root"))
	}
	if missing != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no Docker engine runs, and none can be started: ", missing)
		}
		t.Skip("SKIPPED: no Docker engine runs, and none can be started: ", missing)
	}
	engine, err := compose.StartEngine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Env = append(p.Env, "DOCKER_HOST="+engine.Host)
	t.Cleanup(func() {
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
	})
}

type testLog struct{ t *testing.T }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(text)))
	return len(text), nil
}

// mostOnDisk is how many megabytes an image may have without compression; to pull it is
// about a third.
var mostOnDisk = map[string]int{"registry-receiver": 40, "git-receiver": 40, "automator": 80, "synchronizer": 120}

// containersAreLocked looks at what the engine really runs.
func containersAreLocked(t *testing.T, p *compose.Project) {
	t.Helper()
	for _, s := range scaled {
		all, err := p.Containers(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Docker(t.Context(), "", append([]string{
			"inspect", "--format",
			"{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.HostConfig.CapDrop}} {{len .HostConfig.PortBindings}}",
		}, all...)...)
		if want := "true 65532:65532 [ALL] 0"; err != nil || strings.TrimSpace(out) != want {
			t.Errorf("%s runs as %q (%v), not %q: read-only, nobody, no capability, no port of the machine", s, out, err, want)
		}
		layers, err := p.Docker(t.Context(), "", "image", "inspect", "--format", "{{len .RootFS.Layers}}", p.Images+"/"+s+":"+p.Tag)
		if err != nil || strings.TrimSpace(layers) != "1" {
			t.Errorf("the image of %s has %s layers (%v), not 1", s, layers, err)
		}
		size, err := p.Docker(t.Context(), "", "image", "inspect", "--format", "{{.Size}}", p.Images+"/"+s+":"+p.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if bytes, err := strconv.Atoi(strings.TrimSpace(size)); err != nil || bytes > mostOnDisk[s]*1e6 {
			t.Errorf("the image of %s has %s bytes (%v), more than %d MB", s, strings.TrimSpace(size), err, mostOnDisk[s])
		}
	}
}

// seedApps gives the config repo applications beside web, each of an image of its own,
// and waits until they run.
func seedApps(t *testing.T, p *compose.Project, n int) []string {
	t.Helper()
	apps := []string{"web"}
	files := map[string]string{}
	digests := map[string]string{"web": ""}
	for i := range n {
		name := fmt.Sprintf("app-%d", i)
		apps = append(apps, name)
		if _, err := p.Push(t.Context(), "shop/"+name, "1.0.0"); err != nil {
			t.Fatal(err)
		}
		digests[name] = ""
		files["clusters/local/"+name+".yaml"] = fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: shop}
spec:
  source: {repository: "http://git:3000/slipway/config.git", branch: main, path: apps/%[1]s}
  destination: {namespace: shop, serviceAccount: deployer}
`, name)
		files["apps/"+name+"/deployment.yaml"] = local.Deployment(name, "registry:5000/shop/"+name+":1.0.0", 1)
	}
	if err := p.Commit(t.Context(), "More applications", files); err != nil {
		t.Fatal(err)
	}
	applied(t, p, apps, digests)
	return apps
}

// tell releases once and follows it by the command's own image.
func tell(t *testing.T, p *compose.Project, app string) {
	t.Helper()
	digest, err := p.Push(t.Context(), "shop/"+app, "1.0.1")
	if err != nil {
		t.Fatal(err)
	}
	applied(t, p, []string{app}, map[string]string{app: digest})
	err = compose.Eventually(t.Context(), time.Minute, func() error {
		out, err := p.Compose(t.Context(), "", "run", "--rm", "-T", "slipway", "trace", "registry:5000/shop/"+app+":1.0.1")
		if err == nil && !strings.Contains(out, "service.upgraded") {
			return fmt.Errorf("no service.upgraded in\n%s", out)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// release pushes a version of each image; meanwhile is called in the middle of it.
func release(t *testing.T, p *compose.Project, apps []string, tag string, meanwhile func()) map[string]string {
	t.Helper()
	digests := map[string]string{}
	for i, app := range apps {
		digest, err := p.Push(t.Context(), "shop/"+app, tag)
		if err != nil {
			t.Fatal(err)
		}
		digests[app] = digest
		if i == len(apps)/2 && meanwhile != nil {
			meanwhile()
		}
	}
	return digests
}

// killOneOfEach kills a container of each service at random, in any order. An engine
// doesn't start again what was killed by its own command: they stay dead.
func killOneOfEach(t *testing.T, p *compose.Project) {
	t.Helper()
	for _, i := range rand.Perm(len(scaled)) {
		all, err := p.Containers(t.Context(), scaled[i])
		if err != nil || len(all) == 0 {
			t.Fatal(scaled[i], " has no container: ", err)
		}
		slices.Sort(all)
		victim := all[rand.IntN(len(all))]
		if _, err := p.Docker(t.Context(), "", "kill", "--signal", "KILL", victim); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed %s %.12s", scaled[i], victim)
	}
}

// applied waits until the cluster runs each application, at its digest where it has one.
func applied(t *testing.T, p *compose.Project, apps []string, digests map[string]string) {
	t.Helper()
	err := compose.Eventually(t.Context(), 2*time.Minute, func() error {
		out, err := p.Kubectl(t.Context(), "", "get", "deployments", "-n", "shop", "-o", "json")
		if err != nil {
			return err
		}
		running, err := readyImages(out)
		if err != nil {
			return err
		}
		for _, app := range apps {
			if image, ok := running[app]; !ok || !strings.HasSuffix(image, digests[app]) {
				return fmt.Errorf("%s runs %q, not %s", app, image, digests[app])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readyImages are the images of the deployments that run them on all replicas.
func readyImages(list string) (map[string]string, error) {
	var all struct {
		Items []struct {
			Metadata struct {
				Name       string
				Generation int64
			}
			Spec struct {
				Replicas int
				Template struct {
					Spec struct{ Containers []struct{ Image string } }
				}
			}
			Status struct {
				ObservedGeneration                           int64
				Replicas, UpdatedReplicas, AvailableReplicas int
			}
		}
	}
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		return nil, fmt.Errorf("read the deployments: %w", err)
	}
	images := map[string]string{}
	for _, d := range all.Items {
		s := d.Status
		if s.ObservedGeneration >= d.Metadata.Generation && s.Replicas == d.Spec.Replicas && s.UpdatedReplicas == s.Replicas && s.AvailableReplicas == s.Replicas {
			images[d.Metadata.Name] = d.Spec.Template.Spec.Containers[0].Image
		}
	}
	return images, nil
}

// once demands that each release is in exactly one commit.
func once(t *testing.T, p *compose.Project, digests map[string]string) {
	t.Helper()
	log, err := p.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for app, digest := range digests {
		trailer := fmt.Sprintf("local/shop/%s registry:5000/shop/%s@%s", app, app, digest)
		if n := strings.Count(log, trailer); n != 1 {
			t.Errorf("%s is in %d commits, not in one:\n%s", trailer, n, log)
		}
	}
}
