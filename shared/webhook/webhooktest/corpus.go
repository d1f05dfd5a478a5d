package webhooktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// entry is the meta file of a body in the corpus: see its INDEX.md.
type entry struct {
	Provider  string            `json:"provider"`
	File      string            `json:"file"`
	Headers   map[string]string `json:"headers"`
	Secret    string            `json:"secret"`
	Signature struct {
		Verified bool `json:"verified"`
	} `json:"signature"`
	Expect struct {
		HTTP           string       `json:"http"`
		Events         []expected   `json:"events"`
		AlsoAcceptable [][]expected `json:"also_acceptable"`
	} `json:"expect"`
}

// expected is one event of an entry; null is what the body does not tell.
type expected struct {
	Type       string  `json:"type"`
	Repository string  `json:"repository"`
	Registry   *string `json:"registry"`
	Tag        *string `json:"tag"`
	Digest     *string `json:"digest"`
	Ref        string  `json:"ref"`
	Before     *string `json:"before"`
	After      *string `json:"after"`
}

// corpus sends every body of the provider's folders, and the broken variants
// made of them, as its meta file says.
func (s Suite) corpus(t *testing.T, p webhook.Provider, sender Sender) {
	t.Helper()
	root := os.Getenv("SLIPWAY_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	root = filepath.Join(root, "webhooks")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("NOT CHECKED against real bodies: no corpus at %s; set SLIPWAY_CORPUS", root)
	}
	for _, folder := range append(slices.Clone(sender.Corpus), "_derived") {
		metas, err := filepath.Glob(filepath.Join(root, folder, "*.meta.json"))
		if err != nil || len(metas) == 0 {
			t.Fatalf("nothing in %s of the corpus: %v", folder, err)
		}
		for _, meta := range metas {
			var e entry
			text, err := os.ReadFile(meta)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatal(err)
			}
			if folder == "_derived" && !slices.Contains(sender.Corpus, e.Provider) && e.Provider != "any" {
				continue
			}
			t.Run(folder+"/"+e.File, func(t *testing.T) {
				body, err := os.ReadFile(filepath.Join(root, folder, e.File))
				if err != nil {
					t.Fatal(err)
				}
				s.checkEntry(t, p, sender, e, body)
			})
		}
	}
}

func (s Suite) checkEntry(t *testing.T, p webhook.Provider, sender Sender, e entry, body []byte) {
	t.Helper()
	r := webhook.Request{Header: http.Header{}, Body: body}
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	secret := e.Secret
	switch {
	case e.Expect.HTTP == "401":
		secret = Secret // its own headers are the wrong proof
	case !e.Signature.Verified:
		secret = Secret
		sender.sign(p, r.Header, body, secret, time.Now())
	}
	src := s.source(p)
	src.Secrets = []string{secret}
	if e.tellsNoHost() && src.Host == "" {
		src.Host = "registry.example.com"
	}
	err := prove(t.Context(), p, r, src)
	if err != nil && e.Provider == "any" {
		return // where the body holds the proof, none is in there
	}
	forbidden := strings.HasPrefix(e.Expect.HTTP, "403") && slices.Contains(sender.Corpus, "aws-sns")
	if (err != nil) != (e.Expect.HTTP == "401" || forbidden) || (forbidden && !errors.Is(err, webhook.ErrForbidden)) {
		t.Fatalf("the proof gives %v, want %s", err, e.Expect.HTTP)
	}
	if (err != nil && !strings.Contains(e.Expect.HTTP, "else")) || r.Header.Get("Content-Encoding") != "" {
		return // refused before it is read
	}
	got := s.read(p, r, src)
	// A sender that a 4xx blocks gets none for what can't be read.
	class := "2"
	if got.Error != "" && !p.Blocks {
		class = "4"
	}
	if !strings.Contains(e.Expect.HTTP, class) && !p.Blocks {
		t.Errorf("the error is %q, which is HTTP %sxx, want %s", got.Error, class, e.Expect.HTTP)
	}
	var faults []string
	for _, want := range append([][]expected{e.Expect.Events}, e.Expect.AlsoAcceptable...) {
		fault := differs(got.Events, want)
		if fault == "" {
			return
		}
		faults = append(faults, fault)
	}
	t.Errorf("gives %d events (error %q, ignored %q): %s", len(got.Events), got.Error, got.Ignored, strings.Join(faults, "; or "))
}

// tellsNoHost says that the host of an image is known to the config alone.
func (e entry) tellsNoHost() bool {
	for _, events := range append([][]expected{e.Expect.Events}, e.Expect.AlsoAcceptable...) {
		if slices.ContainsFunc(events, func(x expected) bool { return strings.HasPrefix(x.Type, "image.") && x.Registry == nil }) {
			return true
		}
	}
	return false
}

// differs compares with one whole answer, ignored entries put aside.
func differs(got []events.Event, want []expected) string {
	want = slices.DeleteFunc(slices.Clone(want), func(x expected) bool { return x.Type == "ignored" || x.Type == "ping" })
	if len(got) != len(want) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	for i, x := range want {
		var fault string
		switch p := got[i].Payload.(type) {
		case events.RefUpdated:
			fault = x.ref(p)
		case events.ArtifactPublished:
			fault = x.artifact("image.pushed", p.Artifact)
		case events.ArtifactDeleted:
			fault = x.artifact("image.deleted", p.Artifact)
		}
		if fault != "" {
			return fmt.Sprintf("event %d: %s", i, fault)
		}
	}
	return ""
}

func (x expected) ref(p events.RefUpdated) string {
	kind := "git.pushed"
	if strings.HasPrefix(p.Ref, "refs/tags/") {
		kind = "git.tag"
	}
	_, path, _ := strings.Cut(string(p.Repository), "/")
	// The corpus has the name alone where the clone address, by which we and
	// the config name a repository, has more before it, and not always its
	// case: /scm/shop/config, /_git/config.
	if strings.HasSuffix("/"+strings.ToLower(path), "/"+strings.ToLower(x.Repository)) {
		path = x.Repository
	}
	faults := []string{
		unequal("type", kind, x.Type), unequal("repository", path, x.Repository), unequal("ref", p.Ref, x.Ref),
		unequal("before", p.Before, id(x.Before)), unequal("after", p.After, id(x.After)),
	}
	return strings.Join(slices.DeleteFunc(faults, func(s string) bool { return s == "" }), ", ")
}

func (x expected) artifact(kind string, a events.Artifact) string {
	registry := a.Registry
	if x.Registry != nil {
		registry = *x.Registry
	}
	faults := []string{
		unequal("type", kind, x.Type), unequal("repository", a.Repository, x.Repository), unequal("registry", a.Registry, registry),
		unequal("tag", a.Tag, id(x.Tag)), unequal("digest", a.Digest, id(x.Digest)),
	}
	return strings.Join(slices.DeleteFunc(faults, func(s string) bool { return s == "" }), ", ")
}

// id is empty for what is not told and for zeros alike.
func id(s *string) string {
	if s == nil {
		return ""
	}
	return webhook.ObjectID(*s)
}

func unequal(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s is %q, want %q", what, got, want)
}
