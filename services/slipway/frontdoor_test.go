package slipway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func TestZ01AWrongSignatureIs401AndAllOfThemLookAlike(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	good := github(push).signed()
	proof := good.header.Get("X-Hub-Signature-256")
	bodies := map[string]bool{}
	for name, h := range map[string]hook{
		"one bit of the body": func() hook { h := good; h.body = bytes.Replace(h.body, []byte("main"), []byte("maio"), 1); return h }(),
		"another secret":      github(push).signedAt(frontSecret+"x", time.Now()),
		"one digit":           good.with("X-Hub-Signature-256", proof[:len(proof)-1]+string("01"[b2i(proof[len(proof)-1] == '0')])),
		"shorter":             good.with("X-Hub-Signature-256", proof[:len(proof)-2]),
		"longer":              good.with("X-Hub-Signature-256", proof+"00"),
		"odd":                 good.with("X-Hub-Signature-256", proof[:len(proof)-1]),
		"capitals":            good.with("X-Hub-Signature-256", "sha256="+strings.ToUpper(proof[7:])),
		"not hex":             good.with("X-Hub-Signature-256", "sha256="+strings.Repeat("zz", 32)),
	} {
		bodies[f.wants(t, name, h, 0, http.StatusUnauthorized).body] = true
	}
	if len(bodies) != 1 {
		t.Errorf("the answers differ: %v", bodies)
	}
	f.fine(t)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestZ02AMissingOrEmptySignatureIs401(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, h := range map[string]hook{
		"missing": github(push), "empty": github(push).with("X-Hub-Signature-256", " "), "only the prefix": github(push).with("X-Hub-Signature-256", "sha256="),
		"Gitea's empty headers": gitHook("gitea", "gitea", "push", push).with("X-Hub-Signature-256", "sha256=").with("X-Gitea-Signature", " "),
		"GitLab's token":        gitHook("gitlab", "gitlab", "Push Hook", push), "basic": gitHook("azure", "azure-devops", "", push),
		"distribution's": registryHook("distribution", envelope("1")).with("Authorization", ""),
	} {
		f.wants(t, name, h, 0, http.StatusUnauthorized)
	}
	f.fine(t)
}

func TestZ03TheRequestDoesNotChooseTheAlgorithm(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	good := github(push).signed()
	proof := good.header.Get("X-Hub-Signature-256")
	two := github(push)
	two.header["X-Hub-Signature-256"] = []string{proof, "sha256=" + strings.Repeat("00", 32)}
	sha1Only := github(push).with("X-Hub-Signature", "sha1=0123456789012345678901234567890123456789")
	for name, h := range map[string]hook{
		"sha1": good.with("X-Hub-Signature-256", "sha1="+proof[7:47]), "sha512": good.with("X-Hub-Signature-256", "sha512="+proof[7:]+proof[7:]),
		"md5": good.with("X-Hub-Signature-256", "md5="+proof[7:39]), "only X-Hub-Signature": sha1Only, "two that disagree": two,
		"a right one under the other name": github(push).with("X-Hub-Signature", proof),
		"a JWT with alg none":              registryHook("distribution", envelope("1")).with("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
	} {
		f.wants(t, name, h, 0, http.StatusUnauthorized)
	}
	f.fine(t)
}

func TestZ04ASourceWithoutASecretIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, secrets := range map[string][]service.Secret{"none": nil, "an empty file": {{File: empty}}, "no file": {{File: empty + "-not"}}, "nothing named": {{}}} {
		var cfg service.Config
		cfg.Receivers.Sources = []service.Source{{Name: "a", Provider: "github", Secrets: secrets}}
		if _, err := webhook.New("git-receiver", cfg, gitreceiver.Providers(), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
			t.Errorf("%s: the door opens", name)
		}
	}
}

func TestZ05ABodyCutShortIs400AndPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	f.wants(t, "cut JSON", github(push[:len(push)/2]).signed(), 0, http.StatusBadRequest)
	f.wants(t, "empty", github("").signed(), 0, http.StatusBadRequest)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", len(push)+10)
	_ = github(push).signed().header.Write(conn)
	fmt.Fprintf(conn, "\r\n%s", push)
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || len(f.stored(t)) != 0 {
		t.Errorf("answered %d, stored %d", res.StatusCode, len(f.stored(t)))
	}
	f.fine(t)
}

func TestZ06WhatFollowsTheJSONIs400(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, tail := range map[string]string{"an object": "{}", "a brace": "}", "NUL": "\x00", "a comma": ",", "the same again": push} {
		f.wants(t, name, github(push+tail).signed(), 0, http.StatusBadRequest)
		f.wants(t, name+" in a form", form("payload="+escape(push+tail)).signed(), 0, http.StatusBadRequest)
	}
	f.fine(t)
}

func TestZ07DeepLongAndHugeNumbersAre400InMilliseconds(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, value := range map[string]string{
		"nested 100,000 deep": strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"objects, open":       strings.Repeat(`{"a":`, 100_000),
		"a number":            strings.Repeat("9", 100_000),
		"a list for a string": `[` + strings.Repeat("1,", 1_000_000) + "1]",
	} {
		h := github(`{"ref":` + value + `}`).signed()
		began := time.Now()
		f.wants(t, name, h, 0, http.StatusBadRequest)
		if took := time.Since(began); took > hangs {
			t.Errorf("%s took %s", name, took)
		}
	}
	f.fine(t)
}

func TestZ08NoContentEncodingIsTaken(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
		f.wants(t, encoding, github(push).signed().with("Content-Encoding", encoding), 0, http.StatusUnsupportedMediaType)
	}
	f.fine(t)
}

// Of names that are there twice the last counts, and a name in other letters is
// another: that is the one rule, in every provider, since all of them read with
// webhook.JSON.
func TestZ09OfKeysThatAreThereTwiceTheLastCounts(t *testing.T) {
	t.Parallel()
	f := newFront(t, frontOptions{})
	for name, c := range map[string]struct{ key, want string }{"the same": {"ref", "refs/heads/last"}, "another case": {"REF", "refs/heads/main"}} {
		body := strings.TrimSuffix(push, "}") + fmt.Sprintf(`,%q:"refs/heads/last"}`, c.key)
		f.wants(t, name, github(body).signed(), 1, http.StatusAccepted)
		all := f.stored(t)
		if ref := all[len(all)-1].Payload.(events.RefUpdated).Ref; ref != c.want {
			t.Errorf("%s: the ref is %s", name, ref)
		}
	}
}
