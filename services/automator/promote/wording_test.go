package promote_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

var (
	worded = promote.Change{
		Chain: "c1", Application: events.Application{Cluster: "production", Namespace: "shop", Name: "web"},
		Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, From: "1.0.0", To: "1.1.0@" + digestA,
		Pusher: "maria", Rule: "policies/shop.yaml#1", Approvers: []string{"omar"},
	}
	wordedRepo = events.GitRepository("git.example.com/acme/config")
)

// TestWording: a template has the beginning of the message, and never what
// tells us of the changes.
func TestWording(t *testing.T) {
	two := []promote.Change{worded, worded}
	two[1].Application.Name = "api"
	for name, tc := range map[string]struct {
		template string
		changes  []promote.Change
		begins   string
	}{
		"none":    {"", two[:1], "slipway: move production/shop/web to 1.1.0\n\nproduction/shop/web: "},
		"blank":   {" \n", two, "slipway: move 2 images\n\nproduction/shop/web: "},
		"subject": {"chore({{(index .Changes 0).Namespace}}): release\n", two[:1], "chore(shop): release\n\nproduction/shop/web: "},
		"windows": {"release\r\n\r\nmore\r\n", two[:1], "release\n\nmore\n\nproduction/shop/web: "},
		"repo":    {"{{.Repository}} {{.Branch}}", two[:1], "git.example.com/acme/config main\n\n"},
		"all it may": {
			"deploy: {{range $i, $c := .Changes}}{{if $i}}, {{end}}{{$c.Name}} {{$c.From}} to {{$c.To}}{{end}}\n\n" +
				"{{range .Changes}}{{.Pusher}} pushed {{.Image}}, {{.Rule}} took it, {{range .Approvers}}{{.}} agreed{{end}}: https://slipway.example.com/{{.Chain}} {{.Cluster}} {{.FromDigest}}{{slice .ToDigest 0 10}}\n{{end}}",
			two, "deploy: web 1.0.0 to 1.1.0, api 1.0.0 to 1.1.0\n\nmaria pushed ghcr.io/acme/web, policies/shop.yaml#1 took it, omar agreed: https://slipway.example.com/c1 production sha256:aaa\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := promote.ParseWording(tc.template)
			if name == "all it may" { // an image needn't be pinned
				if !errors.Is(err, promote.ErrWording) || !strings.Contains(err.Error(), "with 2 changes") {
					t.Fatal(err)
				}
				w, err = promote.ParseWording(strings.Replace(tc.template, "{{slice .ToDigest 0 10}}", "{{with .ToDigest}}{{slice . 0 10}}{{end}}", 1))
			}
			must(t, err)
			got, err := w.Message(wordedRepo, "main", tc.changes)
			must(t, err)
			if !strings.HasPrefix(got, tc.begins) {
				t.Errorf("got\n%s\nwant it to begin with\n%s", got, tc.begins)
			}
			if plain := promote.Message(tc.changes); !reflect.DeepEqual(promote.ParseMessage(got), promote.ParseMessage(plain)) {
				t.Errorf("it tells of %v", promote.ParseMessage(got))
			}
		})
	}
}

func TestBadWording(t *testing.T) {
	for name, tc := range map[string]struct{ template, says string }{
		"syntax":         {"{{.Changes", "message:1"},
		"unknown field":  {"{{.Tag}}", "can't evaluate field Tag"},
		"only for two":   {"{{(index .Changes 1).Name}}", "with 1 changes: "},
		"nothing":        {"{{if false}}x{{end}}", "empty message"},
		"forged trailer": {"x\n\nSlipway-Chain: c a/b/c ghcr.io/acme/web@1", "reads like one of the changes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := promote.ParseWording(tc.template)
			if !errors.Is(err, promote.ErrWording) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

// TestWordingOfStrangers: names come from registries; none writes a line of
// its own.
func TestWordingOfStrangers(t *testing.T) {
	w, err := promote.ParseWording("release\n\n{{range .Changes}}{{.Pusher}}\n{{end}}")
	must(t, err)
	forged := worded
	forged.Pusher = "x\nSlipway-Chain: c9 production/shop/web ghcr.io/acme/web@" + digestB
	got, err := w.Message(wordedRepo, "main", []promote.Change{forged})
	must(t, err)
	if changes := promote.ParseMessage(got); len(changes) != 1 || changes[0].Chain != "c1" {
		t.Errorf("it tells of %v", changes)
	}
	forged.Pusher = "Slipway-Chain: c9 production/shop/web ghcr.io/acme/web@" + digestB
	if got, err := w.Message(wordedRepo, "main", []promote.Change{forged}); !errors.Is(err, promote.ErrWording) {
		t.Errorf("got %v and\n%s", err, got)
	}
}

// TestCommitsAreWorded: by the template, and without it where it fails.
func TestCommitsAreWorded(t *testing.T) {
	b := start(t, nil)
	var err error
	b.deploy.Wording, err = promote.ParseWording(`{{with index .Changes 0}}release {{.Name}} {{.To}}{{if eq .Chain "chain-1.2.0"}}{{slice .To 99}}{{end}}{{end}}`)
	must(t, err)
	for _, tc := range []struct{ tag, digest, subject string }{
		{"1.1.0", digestA, "release web 1.1.0"},
		{"1.2.0", digestB, "slipway: move production/shop/web to 1.2.0"},
	} {
		b.pushed(tc.tag, tc.digest)
		must(t, b.work("ghcr.io/acme/web:"+tc.tag))
		b.git.Pull()
		if got := b.git.Git("log", "-1", "--format=%s"); got != tc.subject {
			t.Errorf("%s: the subject is %q, want %q", tc.tag, got, tc.subject)
		}
	}
	if merged := b.told(events.ChangeMergedType); len(merged) != 2 {
		t.Errorf("told of %d merges, want 2", len(merged))
	}
}
