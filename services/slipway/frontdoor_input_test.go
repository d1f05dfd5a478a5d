package slipway_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/events"
)

func escape(s string) string { return url.QueryEscape(s) }

func form(body string) hook {
	return github(body).with("Content-Type", "application/x-www-form-urlencoded")
}

func TestZ12ADeliveryToldAgainHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	_, other := f.replica(t, f.server.URL(), nil)
	h := github(push).signed()
	bodies := make(chan string, 16)
	var all sync.WaitGroup
	for i := range cap(bodies) {
		all.Go(func() {
			got := f.sendTo(t, []string{f.addr, other}[i%2], h)
			if got.status != http.StatusAccepted {
				t.Errorf("answered %d %s", got.status, got.body)
			}
			bodies <- got.body
		})
	}
	all.Wait()
	first := <-bodies
	for range cap(bodies) - 1 {
		if next := <-bodies; next != first {
			t.Errorf("answers differ: %s and %s", first, next)
		}
	}
	if n := len(f.stored(t)); n != 1 {
		t.Errorf("stored %d times", n)
	}
	// The same id with another body is not taken for the first.
	f.wants(t, "another body", github(push+"\n").signed(), 1, http.StatusAccepted)
	// One id on two events of one envelope: both are stored.
	two := strings.Replace(envelope("1", "2"), `"e1"`, `"e0"`, 1)
	f.wants(t, "one id twice in a body", registryHook("distribution", two), 2, http.StatusAccepted)
}

func TestZ13TimeStampsOutsideOfTheirToleranceAre401(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	note := gitHook("gitee", "gitee", "", `{"hook_name":"note_hooks"}`)
	now := time.Now()
	f.wants(t, "now", note.signedAt(frontSecret, now), 0, http.StatusAccepted)
	for name, at := range map[string]time.Time{"old": now.Add(-6 * time.Minute), "future": now.Add(6 * time.Minute), "negative": time.UnixMilli(-1)} {
		f.wants(t, name, note.signedAt(frontSecret, at), 0, http.StatusUnauthorized)
	}
	f.wants(t, "seconds for milliseconds", note.signed().with("X-Gitee-Timestamp", fmt.Sprint(now.Unix())), 0, http.StatusUnauthorized)
	f.wants(t, "missing", note.signed().with("X-Gitee-Timestamp", ""), 0, http.StatusUnauthorized)
	gitlab := gitHook("gitlab", "gitlab", "Push Hook", `{"object_kind":"note"}`).with("Webhook-Signature", "v1,AAAA").with("Webhook-Id", "1")
	for _, stamp := range []string{"", "1", "-1", fmt.Sprint(now.UnixMilli()), fmt.Sprint(now.Unix() + 400)} {
		f.wants(t, "GitLab's stamp "+stamp, gitlab.with("Webhook-Timestamp", stamp), 0, http.StatusUnauthorized)
	}
	// The sender hears nothing of it, and who runs the receiver all.
	for _, words := range []string{"header X-Gitee-Timestamp is 6m", "0s before our clock", "0s after our clock", "header Webhook-Timestamp is 6m", "one of the clocks is wrong"} {
		if !strings.Contains(f.log.String(), words) {
			t.Errorf("the log doesn't say %q", words)
		}
	}
}

// strange are names outside of every grammar.
var strange = map[string]string{
	"Cyrillic": "shop/wеb", "a blank": "shop/w b", "an emoji": "shop/🚢", "300 characters": "shop/" + strings.Repeat("a", 300),
	"zero width": "shop/w\u200beb", "right to left": "shop/\u202ebew", "dots": "shop/../../etc/passwd", "a double slash": "shop//web",
	"escaped dots": "shop/%2e%2e/web", "NUL": "shop/we\x00b", "absolute": "/etc/passwd", "a star": "shop/*", "an angle": "shop/>", "CRLF": "shop/web\r\nforged: 1",
}

func TestZ14NamesOutsideOfTheGrammarPublishNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, repo := range strange {
		quoted, err := json.Marshal(repo)
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Replace(envelope("1.0.0"), `"shop/web"`, string(quoted), 1)
		f.wants(t, "repository with "+name, registryHook("distribution", body), 0, http.StatusAccepted)
		body = strings.Replace(envelope("1.0.0"), `"1.0.0"`, string(quoted), 1)
		got := f.wants(t, "tag with "+name, registryHook("distribution", body), 0, http.StatusAccepted)
		if !strings.Contains(got.body, "ignored") && !strings.Contains(f.log.String(), "unreadable") {
			t.Errorf("%s: nobody can see why: %s", name, got.body)
		}
		f.wants(t, "Docker Hub's "+name, registryHook("dockerhub", `{"push_data":{"tag":"1","pushed_at":1},"callback_url":"http://169.254.169.254/","repository":{"repo_name":`+string(quoted)+`}}`), 0, http.StatusAccepted, http.StatusBadRequest)
	}
	f.fine(t)
}

func TestZ14AHomoglyphPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "Quay's", registryHook("quay", `{"repository":"acme/wеb","docker_url":"quay.io/acme/wеb","updated_tags":["1"]}`), 0, http.StatusAccepted)
}

func TestZ15BytesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "a mark", github("\xef\xbb\xbf"+push).signed(), 0, http.StatusBadRequest)
	utf16 := "\xfe\xff"
	for _, r := range push {
		utf16 += "\x00" + string(r)
	}
	f.wants(t, "UTF-16", github(utf16).signed(), 0, http.StatusBadRequest)
	f.wants(t, "Latin 1", github(strings.Replace(push, "maria", "mar\xeda", 1)).signed(), 0, http.StatusBadRequest)
	// A lone surrogate becomes U+FFFD in free text, and never in a name.
	f.wants(t, "a surrogate in a ref", github(strings.Replace(push, "refs/heads/main", `refs/heads/\ud800`, 1)).signed(), 0, http.StatusAccepted, http.StatusBadRequest)
	f.wants(t, "a surrogate in a repository", registryHook("distribution", strings.Replace(envelope("1"), "shop/web", `shop/\ud800`, 1)), 0, http.StatusAccepted)
	f.wants(t, "a surrogate in a user's name", github(strings.Replace(push, `"maria"`, `"\ud800"`, 1)).signed(), 1, http.StatusAccepted)
	for _, e := range f.stored(t) {
		if text, err := json.Marshal(e); err != nil || !utf8.Valid(text) {
			t.Errorf("%q is not UTF-8: %v", text, err)
		}
	}
}

func TestZ16PathsInNamesAndRefsPublishNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for _, ref := range []string{"refs/heads/../../etc", "refs/heads//x", "refs/heads/x\x00", "--upload-pack=touch /tmp/x", "/etc/passwd", "refs/heads/x.lock", "refs/heads/a b"} {
		text, err := json.Marshal(ref)
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Replace(push, `"refs/heads/main"`, string(text), 1)
		f.wants(t, fmt.Sprintf("ref %q", ref), github(body).signed(), 0, http.StatusAccepted, http.StatusBadRequest)
	}
	f.wants(t, "zot", registryHook("zot", `{"name":"../../etc/passwd","reference":"1.0.0","digest":"sha256:`+strings.Repeat("0", 64)+`","mediaType":"application/vnd.oci.image.manifest.v1+json"}`).
		with("Ce-Type", "zotregistry.image.updated").with("Ce-Id", "1").with("Ce-Source", "zot").with("Ce-Specversion", "1.0"), 0, http.StatusAccepted, http.StatusBadRequest)
	// Files are names too: what leaves the repository is not passed on.
	body := strings.Replace(push, `"commits":[{`, `"commits":[{"added":["../../etc/passwd"],`, 1)
	f.wants(t, "a changed file above", github(body).signed(), 1, http.StatusAccepted)
	if got := f.stored(t)[0].Payload.(events.RefUpdated).ChangedFiles; len(got) != 0 {
		t.Errorf("changed files are %q", got)
	}
	f.fine(t)
}

func TestZ17NothingOfABodyIsAWildcard(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for _, name := range []string{"acme/*", "acme/>", "*.>", "acme/we b"} {
		f.wants(t, name, registryHook("quay", fmt.Sprintf(`{"repository":%q,"docker_url":%q,"updated_tags":["1"]}`, name, "quay.io/"+name)), 0, http.StatusAccepted)
	}
	// A Git repository may have such letters: they are one token.
	body := strings.Replace(push, "acme/config.git", "acme/a.*.>%20b.git", 1)
	got := f.send(t, github(body).signed())
	if got.status >= 500 {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	for _, e := range f.stored(t) {
		if tokens := strings.Split(e.NATSSubject(), "."); len(tokens) != 4 || strings.ContainsAny(e.NATSSubject(), "*> ") {
			t.Errorf("subject %s", e.NATSSubject())
		}
	}
	f.fine(t)
}

func TestZ18LineFeedsForgeNoHeaderAndNoLogLine(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "a tag", registryHook("distribution", envelope("1.0\r\n{\"level\":\"ERROR\"}")), 0, http.StatusAccepted)
	f.wants(t, "an action", registryHook("distribution", `{"events":[{"id":"1","action":"x\r\n{\"level\":\"ERROR\"}"}]}`), 0, http.StatusAccepted)
	f.wants(t, "a user", github(strings.ReplaceAll(push, "maria", `maria\r\n{\"level\":\"ERROR\"}`)).signed(), 1, http.StatusAccepted)
	f.wants(t, "a ref", github(strings.Replace(push, "main", `main\r\n{\"level\":\"ERROR\"}`, 1)).signed(), 0, http.StatusAccepted, http.StatusBadRequest)
	for _, header := range []string{"X-GitHub-Delivery: a\x00b", "X-GitHub-Delivery: a\rb", "X-Bad Name: x", ": x"} {
		got := f.raw(t, "POST /hooks/github HTTP/1.1\r\nHost: x\r\n"+header+"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q: answered %q", header, got)
		}
	}
	for line := range strings.Lines(f.log.String()) {
		if !strings.HasPrefix(line, `{"time"`) || !json.Valid([]byte(line)) {
			t.Errorf("log line %q", line)
		}
	}
	f.fine(t)
}

func TestZ19WrongTypesAre400NamingTheField(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for field, value := range map[string]string{"ref": "12", "commits": "{}", "repository": "[]"} {
		body := fmt.Sprintf(`{%q:%s}`, field, value)
		got := f.wants(t, field, github(body).signed(), 0, http.StatusBadRequest)
		if !strings.Contains(got.body, field) {
			t.Errorf("%s: the answer does not name it: %s", field, got.body)
		}
	}
	for _, body := range []string{"null", `"push"`, "[]", "1", `{"repository":null,"ref":"refs/heads/x"}`} {
		f.wants(t, body, github(body).signed(), 0, http.StatusBadRequest)
	}
	f.wants(t, "Harbor's object for a list", registryHook("harbor", `{"type":"PUSH_ARTIFACT","event_data":{"resources":{"tag":"1"},"repository":{"repo_full_name":"a/b"}}}`), 0, http.StatusBadRequest)
	f.wants(t, "Docker Hub's float time", registryHook("dockerhub", `{"push_data":{"tag":"1","pushed_at":1.7e9},"repository":{"repo_name":"acme/web"}}`), 1, http.StatusAccepted)
	// Each field of a push in turn as something else.
	var whole map[string]any
	if err := json.Unmarshal([]byte(push), &whole); err != nil {
		t.Fatal(err)
	}
	for field := range whole {
		for _, other := range []any{nil, 1, "x", []any{}, map[string]any{}, true} {
			changed := map[string]any{"n": field}
			maps.Copy(changed, whole)
			changed[field] = other
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.send(t, github(string(text)).signed()); got.status != http.StatusBadRequest && got.status != http.StatusAccepted {
				t.Errorf("%s as %v: answered %d %s", field, other, got.status, got.body)
			}
		}
	}
	f.fine(t)
}

func TestZ20NothingInItIsAnEmptyListWhereTheShapeIsRight(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for _, body := range []string{`{}`, `{"events":[]}`, `{"events":null}`} {
		f.wants(t, "distribution "+body, registryHook("distribution", body), 0, http.StatusAccepted)
	}
	f.wants(t, "Quay without tags", registryHook("quay", `{"repository":"a/b","docker_url":"quay.io/a/b","updated_tags":[]}`), 0, http.StatusAccepted)
	f.wants(t, "Harbor without resources", registryHook("harbor", `{"type":"PUSH_ARTIFACT","event_data":{"resources":[],"repository":{"repo_full_name":"a/b"}}}`), 0, http.StatusAccepted)
	f.wants(t, "Bitbucket without changes", gitHook("bitbucket", "bitbucket-cloud", "", `{"push":{"changes":[]},"repository":{"full_name":"a/b","links":{"html":{"href":"https://bitbucket.org/a/b"}}}}`).with("X-Event-Key", "repo:push").signed(), 0, http.StatusAccepted)
	for _, h := range []hook{github("{}").signed(), registryHook("quay", "{}"), registryHook("harbor", "{}"), registryHook("dockerhub", "{}")} {
		f.wants(t, h.source+" {}", h, 0, http.StatusBadRequest)
	}
}

func TestZ21FormsOnlyWhereTheProviderSendsThem(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	one := "payload=" + escape(push)
	f.wants(t, "GitHub's form, signed as it is", form(one).signed(), 1, http.StatusAccepted)
	gitea := gitHook("gitea", "gitea", "push", one).with("Content-Type", "application/x-www-form-urlencoded")
	f.wants(t, "Gitea's form, its JSON signed", gitea.signed(), 1, http.StatusAccepted)
	f.wants(t, "two payloads", form(one+"&"+one).signed(), 0, http.StatusBadRequest)
	f.wants(t, "no payload", form("x=1").signed(), 0, http.StatusBadRequest)
	f.wants(t, "a payload that is no JSON", form("payload=x").signed(), 0, http.StatusBadRequest)
	for _, kind := range []string{"multipart/form-data; boundary=x", "text/plain", "", "application/xml"} {
		f.wants(t, kind, github(push).with("Content-Type", kind).signed(), 0, http.StatusUnsupportedMediaType)
	}
	f.wants(t, "a form of who sends none", gitHook("azure", "azure-devops", "", one).with("Content-Type", "application/x-www-form-urlencoded").signed(), 0, http.StatusUnsupportedMediaType)
}

func TestZ22OnlyPOSTToAKnownPath(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	good := github(push).signed()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodTrace, http.MethodDelete, "PRI"} {
		h := good
		h.method, h.path = method, h.path+"?payload="+escape(push)
		if got := f.send(t, h); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: answered %d, Allow %q", method, got.status, got.header.Get("Allow"))
		}
	}
	bodies := map[string]bool{}
	for _, path := range []string{"/hooks/nobody", "/hooks/github/guessed", "/hooks/quay/guessed", "/hooks/github/", "/hooks//github", "/hooks/github%2Fx", "/hooks%2Fgithub", "/", "/hooks", "/hooks/nobody/x/y"} {
		h := good
		h.path = path
		bodies[f.wants(t, path, h, 0, http.StatusNotFound).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers differ: %v", bodies)
	}
	f.fine(t)
}

func TestZ24AddressesInABodyAreNotCalled(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	called := newSpy(t)
	f.wants(t, "Docker Hub's callback_url", registryHook("dockerhub", `{"callback_url":"`+called.url+`","push_data":{"tag":"1","pushed_at":1},"repository":{"repo_name":"acme/web","repo_url":"`+called.url+`"}}`), 1, http.StatusAccepted)
	f.wants(t, "clone_url", github(strings.Replace(push, "https://github.com/acme/config.git", called.url+"/acme/config.git", 1)).signed(), 1, http.StatusAccepted)
	f.wants(t, "distribution's url", registryHook("distribution", strings.Replace(envelope("1"), `"target":{`, `"target":{"url":"`+called.url+`",`, 1)), 1, http.StatusAccepted)
	for _, body := range []string{`{"Type":"SubscriptionConfirmation","SubscribeURL":"` + called.url + `","SigningCertURL":"` + called.url + `"}`, `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationUrl":"` + called.url + `","validationCode":"x"}}]`} {
		f.wants(t, body, registryHook("harbor", body), 0, http.StatusBadRequest, http.StatusAccepted)
	}
	if n := called.times(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func TestZ25HandshakesNeedTheirProof(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "GitHub's ping without a signature", gitHook("github", "github", "ping", `{"zen":"x"}`), 0, http.StatusUnauthorized)
	f.wants(t, "GitHub's ping", gitHook("github", "github", "ping", `{"zen":"x","hook_id":1}`).signed(), 0, http.StatusAccepted)
	validation := `[{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"PRIVATE"}}]`
	unknown := gitHook("nobody", "", "", validation).with("Aeg-Event-Type", "SubscriptionValidation")
	f.wants(t, "Event Grid's validation of an unknown source", unknown, 0, http.StatusNotFound)
	elsewhere := github(validation).signed().with("Aeg-Event-Type", "SubscriptionValidation")
	if got := f.wants(t, "Event Grid's validation elsewhere", elsewhere, 0, http.StatusBadRequest); strings.Contains(got.body, "validationResponse") {
		t.Errorf("the code is answered: %s", got.body)
	}
	h := hook{method: http.MethodOptions, path: "/hooks/github", header: http.Header{"Webhook-Request-Origin": {"evil.example"}}}
	if got := f.send(t, h); got.header.Get("WebHook-Allowed-Origin") != "" {
		t.Errorf("OPTIONS: %d %v", got.status, got.header)
	}
	f.fine(t)
}

func TestZ26TheConfigChoosesTheReader(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	// Gitea sends GitHub's headers too, and the proof of the source counts.
	h := gitHook("gitea", "gitea", "push", push).with("X-GitHub-Event", "push").with("X-GitHub-Delivery", "g").signed()
	f.wants(t, "Gitea with GitHub's headers", h, 1, http.StatusAccepted)
	all := f.stored(t)
	if got := all[len(all)-1].Payload.(events.RefUpdated); got.Provider != "gitea" || got.DeliveryID != "delivery" {
		t.Errorf("%+v", got)
	}
	f.wants(t, "an envelope at GitHub's", github(envelope("1")).signed(), 0, http.StatusBadRequest)
	f.wants(t, "wrapped", github(`{"body":`+push+`}`).signed(), 0, http.StatusBadRequest)
	f.wants(t, "a push at a registry's", registryHook("distribution", push), 0, http.StatusAccepted)
	f.wants(t, "a push at Harbor's", registryHook("harbor", push), 0, http.StatusBadRequest)
}

func TestZ27OfContradictionsTheMainFieldWins(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "Harbor's resource_url disagrees", registryHook("harbor", `{"type":"PUSH_ARTIFACT","occur_at":1586922308,"event_data":{"resources":[{"tag":"1.0.0","digest":"sha256:`+strings.Repeat("0", 64)+`","resource_url":"hub.example.com/shop/web:9.9.9"}],"repository":{"name":"web","namespace":"shop","repo_full_name":"shop/web"}}}`), 1, http.StatusAccepted)
	all := f.stored(t)
	if got := all[len(all)-1].Payload.(events.ArtifactPublished); got.Tag != "1.0.0" {
		t.Errorf("%+v", got)
	}
	f.wants(t, "deleted with an after", github(strings.Replace(push, `"commits"`, `"deleted":true,"commits"`, 1)).signed(), 1, http.StatusAccepted)
	f.wants(t, "nothing moved", github(strings.ReplaceAll(push, sha1, sha2)).signed(), 0, http.StatusAccepted)
	undo := envelope("1.0.0", "1.0.0")
	at := strings.LastIndex(undo, `"push"`)
	f.wants(t, "two that undo each other", registryHook("distribution", undo[:at]+`"delete"`+undo[at+6:]), 2, http.StatusAccepted)
	all = f.stored(t)
	kinds := []events.Type{all[len(all)-2].Type(), all[len(all)-1].Type()}
	if !slices.Equal(kinds, []events.Type{events.ArtifactPublishedType, events.ArtifactDeletedType}) {
		t.Errorf("not in the body's order: %v", kinds)
	}
}
