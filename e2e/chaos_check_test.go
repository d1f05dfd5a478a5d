package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/slipway/trace"
	"github.com/slipway-cd/slipway/shared/render"
)

// rest brings the world to its end: everything runs, one last push of each
// image arrives, and then nothing is left to do.
func (c *chaos) rest() (last []pushed) {
	c.t.Helper()
	must(c.t, c.w.Ready(c.t.Context()))
	last = []pushed{c.push(local.WebImage), c.push(local.APIImage)}
	c.arrives(last...)
	err := parts.Eventually(c.t.Context(), patience, func() error { return errors.Join(c.queuesEmpty(), c.consumersIdle()) })
	if err != nil {
		c.t.Fatalf("there is no rest: %v", err)
	}
	c.say("all is at rest")
	return last
}

// queuesEmpty errs while a service has keys that wait for work.
func (c *chaos) queuesEmpty() error {
	return errors.Join(c.noWork("automator"), c.noWork("synchronizer"))
}

// noWork errs while a process has keys that wait for work, but for queues of such names.
func (c *chaos) noWork(name string, but ...string) error {
	text, err := c.w.Process(name).Metrics(c.t.Context())
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		counts := !slices.ContainsFunc(but, func(queue string) bool { return strings.Contains(line, queue) })
		if counts && strings.HasPrefix(line, "slipway_bus_waiting_keys") && !strings.HasSuffix(strings.TrimSpace(line), " 0") {
			return fmt.Errorf("%s: %s", name, line)
		}
	}
	return nil
}

// consumersIdle errs while an event is not acknowledged by everyone.
func (c *chaos) consumersIdle() error {
	seen := 0
	for i, url := range c.w.MonitorURLs {
		n, err := c.idleAt(local.ReplicaName("bus", i), url)
		if err != nil {
			return err
		}
		seen += n
	}
	if seen < 3 {
		return fmt.Errorf("%d consumers are told of", seen)
	}
	return nil
}

// idleAt is of one node of the bus, which speaks for the consumers that it
// leads; it gives how many those are.
func (c *chaos) idleAt(node, url string) (seen int, err error) {
	text, err := get(c.t.Context(), url+"/jsz?consumers=true&config=true")
	if err != nil {
		return 0, err
	}
	var told struct {
		Accounts []struct {
			Streams []struct {
				Name      string `json:"name"`
				Consumers []struct {
					Name    string `json:"name"`
					Pending int    `json:"num_pending"`
					Unacked int    `json:"num_ack_pending"`
					Cluster struct {
						Leader string `json:"leader"`
					} `json:"cluster"`
					Config struct {
						Durable string `json:"durable_name"`
					} `json:"config"`
				} `json:"consumer_detail"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return 0, err
	}
	for _, a := range told.Accounts {
		for _, s := range a.Streams {
			for _, k := range s.Consumers {
				if s.Name != "SLIPWAY" || k.Name != k.Config.Durable {
					continue // a reader's, which the server keeps for a while when it was cut off
				}
				if k.Cluster.Leader != "" && k.Cluster.Leader != node {
					continue
				}
				seen++
				if k.Pending+k.Unacked > 0 {
					return 0, fmt.Errorf("consumer %s has %d waiting and %d unanswered", k.Name, k.Pending, k.Unacked)
				}
			}
		}
	}
	return seen, nil
}

// check holds the promises at the end.
func (c *chaos) check(last []pushed) {
	c.t.Helper()
	c.checkCommits()
	c.checkGit()
	c.checkEvents()
	for _, p := range last {
		c.checkTrace(p)
	}
	dead, err := c.o.Bus.Dead(c.t.Context())
	must(c.t, err)
	for _, d := range dead {
		c.t.Errorf("dead letter: %s", d)
	}
	c.say("kills: %v; %d images, %d of them alone; %d commits of a person; %d events", c.kills, len(c.all), len(c.single), len(c.wrote), len(c.events()))
}

// checkCommits: no end of a chain is in two commits, each image that was
// pushed alone is in one, and none of a person's commits is lost.
func (c *chaos) checkCommits() {
	c.t.Helper()
	in := map[string][]string{}
	subjects := map[string]int{}
	for _, m := range c.history() {
		subject, _, _ := strings.Cut(m.message, "\n")
		subjects[subject]++
		for _, end := range m.ends() {
			in[end] = append(in[end], m.hash)
		}
	}
	for end, commits := range in {
		if len(commits) > 1 {
			c.t.Errorf("%s is in %d commits: %v", end, len(commits), commits)
		}
	}
	for _, p := range c.single {
		for _, app := range users(p.repo) {
			end := app + " " + c.w.Registry.Addr + "/" + p.repo + "@" + p.digest
			if len(in[end]) != 1 {
				c.t.Errorf("%s, pushed alone as %s, is in %d commits", end, p.tag, len(in[end]))
			}
		}
	}
	for _, subject := range c.wrote {
		if subjects[subject] != 1 {
			c.t.Errorf("the person's commit %q is there %d times", subject, subjects[subject])
		}
	}
}

// greatest is the image of a repository that the policy wants: of the tags
// pushed, the last in its range.
func (c *chaos) greatest(repo string) (p pushed) {
	for _, q := range c.all {
		if q.repo == repo && q.tag == fmt.Sprintf("1.%d.0", c.minor[repo]) {
			p = q
		}
	}
	return p
}

var (
	deploymentResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	configMapResource  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	serviceResource    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// checkGit: Git wants the greatest tag of each image, and the cluster is what
// Git says, neither less nor more.
func (c *chaos) checkGit() {
	c.t.Helper()
	must(c.t, c.maria.Pull(c.t.Context()))
	want := map[string]*unstructured.Unstructured{}
	for app, dir := range map[string]string{"web": "apps/web", "api-staging": "apps/api/overlays/staging", "api-production": "apps/api/overlays/production"} {
		result, err := render.Render(c.t.Context(), render.Request{FS: os.DirFS(c.maria.Dir), Path: dir})
		must(c.t, err)
		for _, o := range result.Objects {
			u := &unstructured.Unstructured{Object: o.Map}
			want[o.Kind+"/"+u.GetName()] = u
		}
		repo := local.WebImage
		if app != "web" {
			repo = local.APIImage
		}
		if got, image := imageOf(want["Deployment/"+app]), c.reference(c.greatest(repo)); got != image {
			c.t.Errorf("Git's %s has %s, want %s", app, got, image)
		}
	}
	has := map[string]*unstructured.Unstructured{}
	for _, resource := range []schema.GroupVersionResource{deploymentResource, configMapResource, serviceResource} {
		list, err := c.o.Clients.Dynamic.Resource(resource).Namespace("shop").List(c.t.Context(), metav1.ListOptions{})
		must(c.t, err)
		for _, u := range list.Items {
			if u.GetName() != "kube-root-ca.crt" {
				has[u.GetKind()+"/"+u.GetName()] = &u
			}
		}
	}
	for name, u := range want {
		live, ok := has[name]
		if !ok {
			c.t.Errorf("the cluster lacks %s", name)
			continue
		}
		if imageOf(u) != imageOf(live) || fmt.Sprint(u.Object["data"]) != fmt.Sprint(live.Object["data"]) {
			c.t.Errorf("%s differs between Git and the cluster: %s and %s", name, imageOf(u), imageOf(live))
		}
	}
	for name := range has {
		if want[name] == nil {
			c.t.Errorf("%s is left in the cluster", name)
		}
	}
}

func imageOf(u *unstructured.Unstructured) string {
	if u == nil {
		return ""
	}
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	container, _ := containers[0].(map[string]any)
	image, _ := container["image"].(string)
	return image
}

// checkEvents: ids are unique, every end of every commit was told once, and
// nothing was told to run an image twice.
func (c *chaos) checkEvents() {
	c.t.Helper()
	ids, merged, served := map[string]int{}, map[string]int{}, map[string]int{}
	ended := map[string]bool{} // syncs that went well, by application and image
	for _, s := range c.events() {
		ids[s.Event.ID]++
		switch p := s.Event.Payload.(type) {
		case events.ChangeMerged:
			_, digest, _ := strings.Cut(p.To, "@")
			merged[p.Commit+" "+p.Application+" "+p.Image+"@"+digest]++
		case events.PipelineRunStarted:
			served[s.Event.ChainID+" "+p.Application+" began at "+p.Commit]++
		case events.PipelineRunFinished:
			if p.Outcome == events.Success {
				served[s.Event.ChainID+" "+p.Application+" ended well at "+p.Commit]++
				ended[p.Application+" "+strings.Join(p.Images, " ")] = true
			}
		case events.ServiceEvent:
			served[s.Event.ChainID+" "+p.Application+" "+string(p.Kind)+" "+p.Artifact]++
		}
	}
	for id, n := range ids {
		if n > 1 {
			c.t.Errorf("event %s is %d times on the stream", id, n)
		}
	}
	for _, m := range c.history() {
		for _, end := range m.ends() {
			if n := merged[m.hash+" "+end]; n != 1 {
				c.t.Errorf("%s in commit %s was told %d times", end, m.hash, n)
			}
			delete(merged, m.hash+" "+end)
		}
	}
	for what := range merged {
		c.t.Errorf("told of what is not in Git: %s", what)
	}
	for _, p := range c.single {
		for _, app := range users(p.repo) {
			if !ended[app+" "+c.reference(p)] {
				c.t.Errorf("no sync of %s ended well with %s", app, c.reference(p))
			}
		}
	}
	for what, n := range served {
		if n > 1 {
			c.t.Errorf("told %d times: %s", n, what)
		}
	}
}

// checkTrace: the command shows the whole way of an image.
func (c *chaos) checkTrace(p pushed) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(programs(c.t), "slipway"), "trace", "--config", c.w.Config, "-o", "json", c.reference(p))
	out, err := cmd.Output()
	must(c.t, err)
	var chains []trace.Chain
	must(c.t, json.Unmarshal(out, &chains))
	if len(chains) != 1 {
		c.t.Fatalf("trace %s gives %d chains", p.tag, len(chains))
	}
	var steps []string
	for _, s := range chains[0].Steps {
		steps = append(steps, s.Step)
	}
	for _, want := range []string{"artifact.published", "decision.made", "change.merged", "pipelinerun.started", "pipelinerun.finished", "service.upgraded"} {
		if !slices.Contains(steps, want) {
			c.t.Errorf("the trace of %s:%s lacks %s: %v", p.repo, p.tag, want, steps)
		}
	}
}

// inCluster waits until a config map is there.
func (c *chaos) inCluster(name string) {
	c.t.Helper()
	began := time.Now()
	err := parts.Eventually(c.t.Context(), patience, func() error {
		_, err := c.o.Clients.Dynamic.Resource(configMapResource).Namespace("shop").Get(c.t.Context(), name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		c.t.Fatalf("the person's %s: %v", name, err)
	}
	c.say("  %s is in the cluster after %s", name, time.Since(began).Round(time.Millisecond))
}

// applied errs unless the Deployment names the image.
func (c *chaos) applied(deployment string, p pushed) error {
	u, err := c.o.Clients.Dynamic.Resource(deploymentResource).Namespace("shop").Get(c.t.Context(), deployment, metav1.GetOptions{})
	if err == nil && imageOf(u) != c.reference(p) {
		err = fmt.Errorf("it has %s", imageOf(u))
	}
	return err
}

func read(t *testing.T, clone *local.Clone, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(clone.Dir, name))
	must(t, err)
	return string(data)
}
