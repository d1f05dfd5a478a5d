package pullrequest_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/service"
)

const head = "slipway/production-shop-web"

func request(title string) pullrequest.Request {
	return pullrequest.Request{Base: "main", Head: head, Title: title, Body: "one\ntwo\n\nSlipway-Chain: c1 a/b/c x.io/y@1\n", Labels: []string{"slipway", "deploy"}}
}

// onEveryHost tells one story of all kinds of hosts.
func onEveryHost(t *testing.T, story func(stage)) {
	t.Helper()
	for _, kind := range fakeHosts {
		t.Run(kind.kind, func(t *testing.T) {
			f, h := kind.start(t)
			story(stage{t, kind, f, h})
		})
	}
}

// stage is what a story plays on.
type stage struct {
	*testing.T
	kind fakeHost
	fake *fake
	host pullrequest.Host
}

func mustOpen(t testing.TB, h pullrequest.Host, r pullrequest.Request) pullrequest.PR {
	t.Helper()
	pr, err := h.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

func TestOpeningTwiceIsOpeningOnce(t *testing.T) {
	onEveryHost(t, func(t stage) {
		kind, f, h := t.kind, t.fake, t.host
		if _, found, err := h.Find(t.Context(), "main", head); found || err != nil {
			t.Fatalf("found %v, %v where there is none", found, err)
		}
		first := mustOpen(t, h, request("one"))
		if first.Number != 1 || first.State != pullrequest.Open || first.Base != "main" || first.Head != head ||
			!strings.HasPrefix(first.URL, "http") || first.Commit == "" || !strings.HasSuffix(f.all[0].commit(), first.Commit) || first.Merge != "" {
			t.Fatalf("opened %+v", first)
		}
		if kind.labels && !slices.Equal(f.all[0].labels, []string{"slipway", "deploy"}) {
			t.Fatalf("labels %q", f.all[0].labels)
		}
		writes := f.writes()
		if again := mustOpen(t, h, request("one")); again.Number != first.Number || f.writes() != writes {
			t.Fatalf("opened %+v again with %d writes", again, f.writes()-writes)
		}
		f.all[0].reviewers = []string{"maria"}
		if again := mustOpen(t, h, request("two")); again.Number != first.Number || again.Title != "two" || f.all[0].title != "two" || len(f.all) != 1 {
			t.Fatalf("opened %+v with another title; %d are there", again, len(f.all))
		}
		if got := f.all[0].reviewers; !slices.Equal(got, []string{"maria"}) {
			t.Fatalf("the reviewers are %q", got)
		}
	})
}

func TestOpeningBesideAnotherReplicaGivesItsOne(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		f.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && len(f.all) == 0 {
				f.open("main", head, "theirs", "theirs")
			}
			return false
		}
		pr := mustOpen(t, h, request("ours"))
		if pr.Number != 1 || len(f.all) != 1 || f.all[0].title != "ours" {
			t.Fatalf("opened %+v; %d are there", pr, len(f.all))
		}
	})
}

func TestAnUpdateChangesOnlyWhatDiffers(t *testing.T) {
	onEveryHost(t, func(t stage) {
		kind, f, h := t.kind, t.fake, t.host
		pr := mustOpen(t, h, request("one"))
		it := f.all[0]
		it.labels, it.reviewers = append(it.labels, "people's"), []string{"maria", "ken"}
		it.crlf, it.trims = true, true
		writes := f.writes()
		if err := h.Update(t.Context(), pr, request("one")); err != nil || f.writes() != writes {
			t.Fatalf("%d writes where nothing differs, %v", f.writes()-writes, err)
		}
		r := request("two")
		r.Body = "other\n"
		if err := h.Update(t.Context(), pr, r); err != nil {
			t.Fatal(err)
		}
		if it.title != "two" || it.body != "other\n" || f.writes() != writes+1 {
			t.Fatalf("%+v after %d writes", it, f.writes()-writes)
		}
		if !slices.Contains(it.labels, "people's") || !slices.Equal(it.reviewers, []string{"maria", "ken"}) {
			t.Fatalf("people's labels %q or reviewers %q are gone", it.labels, it.reviewers)
		}
		r.Labels = append(r.Labels, "Urgent")
		if err := h.Update(t.Context(), pr, r); err != nil || kind.labels && !slices.Contains(it.labels, "Urgent") {
			t.Fatalf("labels %q, %v", it.labels, err)
		}
	})
}

func TestClosingTwiceSaysItOnce(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		pr := mustOpen(t, h, request("one"))
		for range 2 {
			if err := h.Close(t.Context(), pr, "superseded by 1.4.3"); err != nil {
				t.Fatal(err)
			}
		}
		if it := f.all[0]; it.state != "closed" || !slices.Equal(it.comments, []string{"superseded by 1.4.3"}) {
			t.Fatalf("%+v", it)
		}
		if got, found, err := h.Find(t.Context(), "main", head); !found || err != nil || got.State != pullrequest.Closed || got.Number != 1 || got.Merge != "" {
			t.Fatalf("found %+v, %v, %v", got, found, err)
		}
		if err := h.Update(t.Context(), pr, request("two")); !errors.Is(err, pullrequest.ErrNotOpen) {
			t.Fatalf("updated a closed one: %v", err)
		}
		next := mustOpen(t, h, request("next"))
		if next.Number != 2 {
			t.Fatalf("opened %+v", next)
		}
		if err := h.Close(t.Context(), next, ""); err != nil || len(f.all[1].comments) != 0 {
			t.Fatalf("closed without words: %q, %v", f.all[1].comments, err)
		}
	})
}

func TestAMergedOneIsFoundWithItsCommit(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		pr := mustOpen(t, h, request("one"))
		f.all[0].state = "merged"
		writes := f.writes()
		if err := h.Close(t.Context(), pr, "superseded"); err != nil || f.writes() != writes {
			t.Fatalf("closing a merged one: %v with %d writes", err, f.writes()-writes)
		}
		got, found, err := h.Find(t.Context(), "main", head)
		if !found || err != nil || got.State != pullrequest.Merged || got.Merge != f.all[0].mergeCommit() || got.Head != head || !strings.Contains(got.Body, "Slipway-Chain") {
			t.Fatalf("found %+v, %v, %v", got, found, err)
		}
	})
}

// A host says of one that was merged between the look and the change that it
// can't be closed.
func TestClosingOneThatIsMergedAtThatMomentIsNoError(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		pr := mustOpen(t, h, request("one"))
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				return false
			}
			f.all[0].state = "merged"
			answer(w, http.StatusPreconditionFailed, map[string]any{"message": "it was already merged"})
			return true
		}
		if err := h.Close(t.Context(), pr, ""); err != nil {
			t.Fatal(err)
		}
		f.all[0].state = "open"
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				answer(w, http.StatusPreconditionFailed, map[string]any{"message": "it is locked"})
			}
			return r.Method != http.MethodGet
		}
		if err := h.Close(t.Context(), pr, ""); !errors.Is(err, pullrequest.ErrRefused) {
			t.Fatalf("closing one that stays open: %v", err)
		}
	})
}

func TestPullRequestsOfForksAreNotOurs(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		f.open("main", head, "mallory's", "").fork = true
		if got, found, err := h.Find(t.Context(), "main", head); found || err != nil {
			t.Fatalf("found %+v, %v", got, err)
		}
		if pr := mustOpen(t, h, request("ours")); pr.Number != 2 || f.all[0].title != "mallory's" {
			t.Fatalf("opened %+v, the fork's is %+v", pr, f.all[0])
		}
	})
}

func TestDataCenterIsAskedAgainWhenSomebodyWasFaster(t *testing.T) {
	f, h := fakeDataCenter.start(t)
	pr := mustOpen(t, h, request("one"))
	bumps := 1
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet && bumps > 0 && !strings.HasSuffix(r.URL.Path, "/comments") {
			bumps--
			f.all[0].version++
			f.all[0].reviewers = []string{"new"}
		}
		return false
	}
	if err := h.Update(t.Context(), pr, request("two")); err != nil || f.all[0].title != "two" || !slices.Equal(f.all[0].reviewers, []string{"new"}) {
		t.Fatalf("%+v, %v", f.all[0], err)
	}
	bumps = 1
	if err := h.Close(t.Context(), pr, "over"); err != nil || f.all[0].state != "closed" || len(f.all[0].comments) != 1 {
		t.Fatalf("%+v, %v", f.all[0], err)
	}
}

func TestABadRequestAsksNobody(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		for name, change := range map[string]func(*pullrequest.Request){
			"no title":      func(r *pullrequest.Request) { r.Title = " " },
			"two lines":     func(r *pullrequest.Request) { r.Title = "a\nb" },
			"a long title":  func(r *pullrequest.Request) { r.Title = strings.Repeat("a", 256) },
			"a long body":   func(r *pullrequest.Request) { r.Body = strings.Repeat("a", h.MaxBody()+1) },
			"onto itself":   func(r *pullrequest.Request) { r.Base = r.Head },
			"from nowhere":  func(r *pullrequest.Request) { r.Head = "" },
			"into nothing":  func(r *pullrequest.Request) { r.Base = "" },
			"all is absent": func(r *pullrequest.Request) { *r = pullrequest.Request{} },
		} {
			r := request("one")
			change(&r)
			if _, err := h.Open(t.Context(), r); !errors.Is(err, pullrequest.ErrRefused) {
				t.Errorf("%s: %v, want ErrRefused", name, err)
			}
		}
		if len(f.requests) != 0 {
			t.Errorf("asked %q", f.requests)
		}
	})
}

func TestEveryKindOfTheConfigHasAHost(t *testing.T) {
	t.Setenv("PULL_TOKEN", token)
	for _, kind := range service.GitHostKinds() {
		r := service.Repository{URL: "https://git.example.com/scm/acme/config", Host: service.GitHost{Kind: kind}}
		if kind != "bitbucket-datacenter" {
			r.URL = "https://git.example.com/acme/config"
		}
		if _, err := pullrequest.New(r, pullrequest.Options{}); err == nil || !strings.Contains(err.Error(), "a token is needed") {
			t.Errorf("%s without credentials: %v", kind, err)
		}
		r.Credentials.Token = &service.Secret{Env: "PULL_TOKEN"}
		if _, err := pullrequest.New(r, pullrequest.Options{}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		r.URL = "https://git.example.com/config"
		if _, err := pullrequest.New(r, pullrequest.Options{}); err == nil || !strings.Contains(err.Error(), "url: ") {
			t.Errorf("%s with a path of one part: %v", kind, err)
		}
	}
	if _, err := pullrequest.New(service.Repository{URL: "https://git.example.com/a/b"}, pullrequest.Options{}); !errors.Is(err, service.ErrNoGitHost) {
		t.Errorf("%v, want ErrNoGitHost", err)
	}
}
