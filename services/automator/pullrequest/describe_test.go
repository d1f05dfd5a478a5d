package pullrequest_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

const digest = "sha256:9f2c4b1d9f2c4b1d9f2c4b1d9f2c4b1d9f2c4b1d9f2c4b1d9f2c4b1d9f2c4b1d"

func change(app, from, to, pusher string) pullrequest.Change {
	name, err := events.ParseApplication(app)
	if err != nil {
		panic(err)
	}
	return pullrequest.Change{
		Application: name, Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/" + name.Name}, From: from, To: to,
		Rule: "policies/shop.yaml#2", Pusher: pusher, Chain: "b1d7c0de-0000-4000-8000-00000000000" + fmt.Sprint(len(name.Name)%10),
	}
}

// message is the commit's, as the automator writes it.
func message(changes []pullrequest.Change) (string, []promote.Change) {
	var all []promote.Change
	for _, c := range changes {
		all = append(all, promote.Change{Chain: c.Chain, Application: c.Application, Image: c.Image, From: c.From, To: c.To})
	}
	return promote.Message(all), all
}

func TestDescriptions(t *testing.T) {
	web := change("production/shop/web", "1.4.1@"+digest, "1.4.2@"+digest, "octocat")
	for name, changes := range map[string][]pullrequest.Change{
		"one.md": {web},
		"batch.md": {
			web, change("production/shop/api", "", "2.0.0", ""),
			change("production/shop/odd", "x", digest, "`](javascript:1) | @everyone\n\nSlipway-Chain: forged a/b/c ghcr.io/acme/web@1.0"),
		},
	} {
		text, want := message(changes)
		title, body, err := pullrequest.Describe(text, changes, 32_768)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, title+"\n\n"+body)
		if got := promote.ParseMessage(title + "\n\n" + body); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: a squash with title and body tells\n%v\nthe commit\n%v", name, got, want)
		}
	}
}

func TestGitReadsTheTrailersOfASquash(t *testing.T) {
	changes := []pullrequest.Change{change("production/shop/web", "1.4.1", "1.4.2", "octocat")}
	text, _ := message(changes)
	title, body, err := pullrequest.Describe(text, changes, 32_768)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "interpret-trailers", "--parse")
	cmd.Stdin = strings.NewReader(title + " (#1)\n\n" + body)
	out, err := cmd.CombinedOutput()
	if want := "Slipway-Chain: " + changes[0].Chain + " production/shop/web ghcr.io/acme/web@1.4.2\n"; err != nil || string(out) != want {
		t.Errorf("git reads %q, %v; want %q", out, err, want)
	}
}

func TestLongDescriptionsKeepTheTrailers(t *testing.T) {
	var changes []pullrequest.Change
	for i := range 100 {
		changes = append(changes, change(fmt.Sprintf("production/shop/app-%d", i), "1.4.1@"+digest, "1.4.2@"+digest, "octocat"))
	}
	text, want := message(changes)
	trailers := text[strings.LastIndex(text, "\n\n")+2:]
	whole := false
	for _, room := range []int{1 << 20, 60_000, 50_000, 40_000, 30_000, 20_000, len(trailers)} {
		_, body, err := pullrequest.Describe(text, changes, room)
		if err != nil || len(body) > room || !strings.HasSuffix(body, trailers) {
			t.Fatalf("%d bytes of %d, trailers %v, %v", len(body), room, strings.HasSuffix(body, trailers), err)
		}
		got := promote.ParseMessage("t\n\n" + body)
		if len(got) != len(want) {
			t.Fatalf("%d changes within %d bytes", len(got), room)
		}
		whole = whole || got[99].From == want[99].From && strings.Contains(body, " more\n")
	}
	if !whole {
		t.Error("no body had all changes and a table that was cut")
	}
	if _, _, err := pullrequest.Describe(text, changes, len(trailers)-1); !errors.Is(err, pullrequest.ErrTooLong) {
		t.Errorf("%v, want ErrTooLong", err)
	}
}

// What others wrote can neither forge a change nor reach beyond its cell.
func TestNobodyForgesAChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := change("production/shop/web", "1.4.1", "1.4.2", rapid.String().Draw(t, "pusher"))
		c.Rule = rapid.StringMatching("(?s)[\\x00-\\x7f\u2028é`|]{0,40}(\n*Slipway-Chain: a b/c/d e.f/g@1)?").Draw(t, "rule")
		text, want := message([]pullrequest.Change{c})
		title, body, err := pullrequest.Describe(text, []pullrequest.Change{c}, 32_768)
		if err != nil {
			t.Fatal(err)
		}
		if got := promote.ParseMessage(title + "\n\n" + body); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("told %v, want %v in\n%s", got, want, body)
		}
		row := strings.Split(body, "\n")[4]
		if strings.Count(row, "|") != 8 || strings.Count(row, "`")%2 != 0 {
			t.Fatalf("the row is %q", row)
		}
		if i := strings.IndexFunc(row, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }); i >= 0 {
			t.Fatalf("the row %q has a control character at %d", row, i)
		}
	})
}

func TestAMessageOfAnyShapeIsDescribed(t *testing.T) {
	for text, want := range map[string]string{
		"subject":                 "",
		"subject\n\nA: 1\nB: 2\n": "A: 1\nB: 2\n",
		"subject\n\nbody\n":       "```text\nbody\n```\n\n",
		"subject\r\n\r\nbody ``` x\r\n\r\nA: 1\r\n": "````text\nbody ``` x\n````\n\nA: 1\n",
		"subject\n\nA: 1\nand more\n":               "```text\nA: 1\nand more\n```\n\n",
	} {
		title, body, err := pullrequest.Describe(text, nil, 1000)
		_, rest, _ := strings.Cut(body, "deploys it.\n\n")
		if title != "subject" || rest != want || err != nil {
			t.Errorf("%q: %q and %q, %v; want %q", text, title, rest, err, want)
		}
	}
	if title, _, err := pullrequest.Describe(strings.Repeat("ü", 300), nil, 1000); err != nil || len(title) > 255 || !strings.HasSuffix(title, "ü…") {
		t.Errorf("a long subject gives %d bytes: %s, %v", len(title), title, err)
	}
}
