package promote_test

import (
	"context"
	"encoding/base64"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/service"
)

// lending is an automator that works, for a repository with documents and policies, and for
// another one, which is the source of an application.
type lending struct {
	*bench
	shop    *gitrepotest.Work
	shopURL string
	done    chan error // of each work
}

// shopped is an application of the first repository whose source is the second one.
func shopped(name, path string) string {
	return strings.Replace(application(name, "shop", path), "REPO", "SHOP", 1)
}

func startLending(t *testing.T, config, shop map[string]string, policies ...service.PolicyPath) *lending {
	t.Helper()
	b := &lending{bench: start(t, nil)}
	b.shopURL = strings.Replace(b.url, "config.git", "shop.git", 1)
	files := map[string]string{"web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")}
	maps.Copy(files, shop)
	b.shop = b.server.Create("shop.git", b.named(files))
	all := map[string]string{"cluster/web.yaml": shopped("web", "web")}
	maps.Copy(all, config)
	b.git.Commit("the shop lies elsewhere", b.named(all))
	b.more = []service.Repository{{URL: b.shopURL, Branch: "main", Policies: policies, DocumentsFrom: []string{"*/config"}}}
	b.documentsFrom = []string{"*/shop"}
	b.bench = b.replica()
	return b
}

func (b *lending) named(files map[string]string) map[string]string {
	all := map[string]string{}
	for name, text := range files {
		all[name] = strings.NewReplacer("REPO", b.url, "SHOP", b.shopURL).Replace(text)
	}
	return all
}

// works has the queue worked off by this replica until the test ends, and everything
// looked at.
func (b *lending) works() {
	b.t.Helper()
	b.done = make(chan error, 1000)
	run(b.t, func(ctx context.Context) error {
		return b.queue.Run(ctx, func(ctx context.Context, w bus.Work) error {
			err := b.deploy.Work(ctx, w)
			b.done <- err
			return err
		})
	})
	must(b.t, b.repos.WakeAll(b.t.Context()))
}

// until waits for something that work brings about.
func (b *lending) until(what string, is func() bool) {
	b.t.Helper()
	patience := time.After(30 * time.Second)
	var last error
	for !is() {
		select {
		case err := <-b.done:
			if err != nil {
				last = err
			}
		case <-patience:
			b.t.Fatalf("waited in vain: %s; decided\n%s\n%v", what, strings.Join(b.decisions(), "\n"), last)
		}
	}
}

// arrives has an image arrive, and whoever uses it decided on.
func (b *lending) arrives(tag, digest string) {
	b.t.Helper()
	b.pushed(tag, digest)
	image, err := events.ParseImage("ghcr.io/acme/web:"+tag, nil)
	must(b.t, err)
	must(b.t, b.repos.Wake(b.t.Context(), image))
}

// looked has a repository looked at that somebody has pushed to.
func (b *lending) looked(key string) { must(b.t, b.queue.Put(b.t.Context(), key, "head")) }

// reads waits until a file of the shop's repository has a text.
func (b *lending) reads(file, text string) {
	b.t.Helper()
	b.until(file+" has "+text, func() bool {
		b.shop.Pull()
		return strings.Contains(b.shop.Git("show", "HEAD:"+file), text)
	})
}

// decides waits for a decision.
func (b *lending) decides(part string) {
	b.t.Helper()
	b.until("a decision "+part, func() bool { return strings.Contains(strings.Join(b.decisions(), "\n"), part) })
}

func TestAnApplicationIsMovedInTheRepositoryThatIsItsSource(t *testing.T) {
	b := startLending(t, nil, nil)
	b.works()
	b.arrives("1.1.0", digestA)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")
	if got := b.merged(); len(got) != 1 {
		t.Errorf("told of %v", got)
	}
}

func TestWhatARepositoryLendsFollowsIt(t *testing.T) {
	b := startLending(t, map[string]string{"policies/shop.yaml": strings.Replace(policyFile, "<2", "<1.2", 1)}, nil)
	b.works()
	b.arrives("1.2.0", digestA)
	b.arrives("1.1.0", digestB)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")

	// A rule that says more, and an application that is another one.
	b.git.Commit("more", map[string]string{"policies/shop.yaml": policyFile})
	b.looked(b.key)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.2.0")
	b.shop.Commit("a canary", map[string]string{"canary/pod.yaml": pod("ghcr.io/acme/web:1.0.0")})
	b.git.Commit("a canary", b.named(map[string]string{"cluster/canary.yaml": shopped("canary", "canary")}))
	b.looked(b.key)
	b.reads("canary/pod.yaml", "ghcr.io/acme/web:1.2.0")

	// What isn't lent any more is left alone.
	b.git.Commit("no canary", map[string]string{"cluster/canary.yaml": ""})
	b.looked(b.key)
	b.until("the canary is forgotten", func() bool { return !b.knows("canary") })
	b.arrives("1.3.0", digestB)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.3.0")
	if got := b.shop.Git("show", "HEAD:canary/pod.yaml"); !strings.Contains(got, "1.2.0") {
		t.Errorf("the canary is %s", got)
	}
}

// knows says whether there is an application of that name.
func (b *lending) knows(name string) bool {
	return b.repos.May(b.t.Context(), "production/shop/"+name, "", "maria", nil) == nil
}

func TestRulesOfWhoHasTheDocumentComeFirst(t *testing.T) {
	const never = `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: own}
spec:
  rules:
  - {applications: ["**"], images: ["**"], track: {semver: "*"}, mode: never}
`
	own := service.PolicyPath{Path: "rules", Applications: []string{"**"}}
	for name, tt := range map[string]struct{ lent, moved, says string }{
		"a lent one decides":           {policyFile, "1.1.0", ""},
		"none of the lent ones speaks": {strings.Replace(policyFile, "production/shop/*", "production/other/*", 1), "1.0.0", "the rule's mode is never"},
		"a lent one can't be read":     {"kind: [", "1.0.0", "policies/shop.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startLending(t, map[string]string{"policies/shop.yaml": tt.lent}, map[string]string{"rules/own.yaml": never}, own)
			b.works()
			b.until("the shop is known", func() bool { return b.knows("web") })
			b.arrives("1.1.0", digestA)
			if tt.says != "" {
				b.decides(tt.says)
			}
			b.reads("web/pod.yaml", "ghcr.io/acme/web:"+tt.moved)
		})
	}
}

// A guest's rules decide for what it brings alone.
func TestLentRulesDecideForNothingElse(t *testing.T) {
	b := startLending(t, nil, map[string]string{
		"apps/all.yaml": application("web", "shop", "own"), "own/pod.yaml": pod("ghcr.io/acme/web:1.0.0"),
	})
	b.more[0].Roots = []service.Root{{Cluster: "staging", Path: "apps"}}
	b.bench = b.replica()
	b.git.Commit("for all", map[string]string{"policies/shop.yaml": strings.Replace(policyFile, "production/shop/*", "**", 1)})
	b.works()
	b.arrives("1.1.0", digestA)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")
	if got := b.shop.Git("show", "HEAD:own/pod.yaml"); !strings.Contains(got, "1.0.0") {
		t.Errorf("what nobody has lent is %s", got)
	}
}

// What is lent is there also for who starts while the lender's host is away.
func TestWhatIsLentStaysWhileTheLenderIsAway(t *testing.T) {
	b := startLending(t, nil, nil)
	must(t, b.work("head"))
	must(t, os.Rename(b.git.Bare, b.git.Bare+".away"))
	b.bench = b.replica()
	b.works()
	b.arrives("1.1.0", digestA)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")
}

// What can't be read whole may have what is missing.
func TestWhatIsLentStaysWhileTheLenderCantBeRead(t *testing.T) {
	b := startLending(t, map[string]string{"cluster/back.yaml": application("back", "shop", "apps/web")}, nil)
	b.works()
	b.until("the shop is known", func() bool { return b.knows("web") })
	broken := b.git.Commit("broken", map[string]string{"cluster/web.yaml": "kind: [", "cluster/back.yaml": application("back", "shop", "apps/web") + "  onDelete: orphan\n"})
	b.looked(b.key)
	b.until("the broken one is read", func() bool {
		known, _ := b.repos.Heads.Of(b.key)
		return known.Value.Commit == broken
	})
	b.arrives("1.1.0", digestA)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")
	b.git.Commit("mended, and gone", map[string]string{"cluster/web.yaml": ""})
	b.looked(b.key)
	b.until("the shop is forgotten", func() bool { return !b.knows("web") })
}

// An application of applications may lie elsewhere, and what it brings be lent on.
func TestApplicationsOfApplicationsAcrossRepositories(t *testing.T) {
	b := startLending(t, map[string]string{"cluster/web.yaml": shopped("team", "team"), "back/pod.yaml": pod("ghcr.io/acme/web:1.0.0")}, map[string]string{
		"team/web.yaml": shopped("web", "web"), "team/back.yaml": application("back", "shop", "back"), "team/again.yaml": shopped("team", "team"),
	})
	b.works()
	b.arrives("1.1.0", digestA)
	b.reads("web/pod.yaml", "ghcr.io/acme/web:1.1.0")
	b.until("what was lent back is moved", func() bool {
		b.git.Pull()
		return strings.Contains(b.git.Git("show", "HEAD:back/pod.yaml"), "1.1.0")
	})
}

func TestAnApplicationThatIsLentAndOwnIsThereTwice(t *testing.T) {
	b := startLending(t, nil, map[string]string{"apps/web.yaml": shopped("web", "web")}, service.PolicyPath{Path: "rules", Applications: []string{"**"}})
	b.more[0].Roots = []service.Root{{Cluster: "production", Path: "apps"}}
	b.bench = b.replica()
	b.shop.Commit("a rule", map[string]string{"rules/shop.yaml": policyFile})
	must(t, b.work("head"))
	b.works()
	b.arrives("1.1.0", digestA)
	b.decides("the application is there twice: apps/web.yaml:1 and cluster/web.yaml:1 of ")
}

// What is too large for a message holds up nothing else.
func TestAParcelThatIsTooLargeHoldsUpNobody(t *testing.T) {
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	large := strings.Replace(shopped("large", "web"), "name: large", "name: large, annotations: {noise: "+base64.StdEncoding.EncodeToString(noise)+"}", 1)
	b := startLending(t, map[string]string{"cluster/large.yaml": large, "cluster/own.yaml": application("own", "shop", "apps/web")}, nil)
	b.works()
	b.arrives("1.1.0", digestA)
	b.until("its own is moved", func() bool {
		b.git.Pull()
		return strings.Contains(b.git.Git("show", "HEAD:apps/web/pod.yaml"), "1.1.0")
	})
	if b.knows("large") {
		t.Error("the large one is known")
	}
}

func TestNobodysDocumentsAreTakenUnasked(t *testing.T) {
	b := startLending(t, nil, nil)
	b.more[0].DocumentsFrom = []string{"*/another"}
	b.bench = b.replica()
	b.git.Commit("one that is known", b.named(map[string]string{"cluster/own.yaml": application("own", "shop", "apps/web")}))
	b.works()
	b.arrives("1.1.0", digestA)
	b.until("its own is moved", func() bool {
		b.git.Pull()
		return strings.Contains(b.git.Git("show", "HEAD:apps/web/pod.yaml"), "1.1.0")
	})
	b.shop.Pull()
	if got := b.shop.Git("log", "--format=%s"); strings.Contains(got, "1.1.0") {
		t.Errorf("the shop has %s", got)
	}
}
