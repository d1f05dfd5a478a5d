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

// body is one of the corpus, with its entry.
type body struct {
	entry
	folder string
	text   []byte
}

// corpusRoot is the folder of the corpus; ok is false where there is none.
func corpusRoot() (root string, ok bool) {
	root = os.Getenv("SLIPWAY_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	root = filepath.Join(root, "webhooks")
	_, err := os.Stat(root)
	return root, err == nil
}

// bodies are those of the provider's folders, and the broken variants made of
// them.
func (s Sender) bodies(t testing.TB, root string) (all []body) {
	t.Helper()
	for _, folder := range append(slices.Clone(s.Corpus), "_derived") {
		metas, err := filepath.Glob(filepath.Join(root, folder, "*.meta.json"))
		if err != nil || len(metas) == 0 {
			t.Fatalf("nothing in %s of the corpus: %v", folder, err)
		}
		for _, meta := range metas {
			b := body{folder: folder}
			text, err := os.ReadFile(meta)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &b.entry); err != nil {
				t.Fatal(err)
			}
			if folder == "_derived" && !slices.Contains(s.Corpus, b.Provider) && b.Provider != "any" {
				continue
			}
			if b.text, err = os.ReadFile(filepath.Join(root, folder, b.File)); err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
	}
	return all
}

// corpus sends every body of the corpus that is the provider's, as its meta
// file says.
func (s Suite) corpus(t *testing.T, p webhook.Provider, sender Sender) {
	t.Helper()
	root, ok := corpusRoot()
	if !ok {
		t.Skipf("NOT CHECKED against real bodies: no corpus at %s; set SLIPWAY_CORPUS", root)
	}
	for _, b := range sender.bodies(t, root) {
		t.Run(b.folder+"/"+b.File, func(t *testing.T) { s.checkEntry(t, p, sender, b) })
	}
}

// request is the delivery as the corpus has it, with its proof where that was
// verified, else with ours.
func (b body) request(p webhook.Provider, sender Sender) webhook.Request {
	r := webhook.Request{Header: http.Header{}, Body: b.text}
	for name, value := range b.Headers {
		r.Header.Set(name, value)
	}
	if !b.Signature.Verified && b.Expect.HTTP != "401" {
		sender.sign(p, r.Header, b.text, Secret, time.Now())
	}
	return r
}

// maxSeed is the largest body of the corpus, in bytes, from which a fuzz target
// begins: mutating megabytes finds nothing in the time there is.
const maxSeed = 256 << 10

// corpusSeeds are the provider's bodies in the corpus, where it is.
func (s Suite) corpusSeeds(f *testing.F, p webhook.Provider) (all []seed) {
	f.Helper()
	root, ok := corpusRoot()
	if !ok {
		return nil
	}
	sender := s.Senders[p.Name]
	for _, b := range sender.bodies(f, root) {
		if len(b.text) <= maxSeed {
			all = append(all, newSeed(b.request(p, sender)))
		}
	}
	return all
}

func (s Suite) checkEntry(t *testing.T, p webhook.Provider, sender Sender, b body) {
	t.Helper()
	r := b.request(p, sender)
	secret := b.Secret
	if b.Expect.HTTP == "401" || !b.Signature.Verified {
		secret = Secret // with 401, its own headers are the wrong proof
	}
	src := s.source(p)
	src.Secrets = []string{secret}
	if b.tellsNoHost() && src.Host == "" {
		src.Host = "registry.example.com"
	}
	err := prove(t.Context(), p, r, src)
	if err != nil && b.Provider == "any" {
		return // where the body holds the proof, none is in there
	}
	forbidden := strings.HasPrefix(b.Expect.HTTP, "403") && slices.Contains(sender.Corpus, "aws-sns")
	if (err != nil) != (b.Expect.HTTP == "401" || forbidden) || (forbidden && !errors.Is(err, webhook.ErrForbidden)) {
		t.Fatalf("the proof gives %v, want %s", err, b.Expect.HTTP)
	}
	if (err != nil && !strings.Contains(b.Expect.HTTP, "else")) || r.Header.Get("Content-Encoding") != "" {
		return // refused before it is read
	}
	got := s.read(p, r, src)
	// A sender that a 4xx blocks gets none for what can't be read.
	class := "2"
	if got.Error != "" && !p.Blocks {
		class = "4"
	}
	if !strings.Contains(b.Expect.HTTP, class) && !p.Blocks {
		t.Errorf("the error is %q, which is HTTP %sxx, want %s", got.Error, class, b.Expect.HTTP)
	}
	var faults []string
	for _, want := range append([][]expected{b.Expect.Events}, b.Expect.AlsoAcceptable...) {
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
