package deploy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/services/slipway/grants"
)

// published is a line of a server's trace: who published, and to which subject.
var published = regexp.MustCompile(`user:CN=([a-z-]+)" - <<- \[H?PUB (\S+)`)

// seldom is what is needed only when something happens that doesn't here.
var seldom = []struct{ subject, when string }{
	{"$JS.API.STREAM.CREATE.*", "it is the first, or the bus lost its store"},
	{"$JS.API.STREAM.UPDATE.*", "a new version has other settings"},
	{"$JS.API.STREAM.INFO.KV_slipway-past", "an event fails"},
	{"$JS.API.INFO", "it makes a bucket"},
	{"$KV.slipway-past.>", "an event fails"},
	{"$JS.API.DIRECT.GET.KV_slipway-past.>", "an event fails"},
	{"$JS.ACK.SLIPWAY_REPLAY.>", "a dead letter is given back"},
	{"slipwaydead.>", "something is given up"},
	{"$JS.API.DIRECT.GET.SLIPWAY_WORK.>", "two replicas want one lease"},
	{"$JS.API.CONSUMER.INFO.SLIPWAY_WORK.*", "it has reconnected"},
	{"$JS.API.CONSUMER.DELETE.*.*", "it has reconnected, or has read to the end"},
	{"$JS.API.CONSUMER.CREATE.SLIPWAY.*.>", "it looks for an event of before"},
	{"$JS.FC.>", "a bucket is large"},
	{"$KV.slipway-slipway-approvals.>", "a person decides"},
	{"$JS.API.DIRECT.GET.KV_slipway-slipway-approvals.>", "a person decides"},
	{"$KV.slipway-slipway-pulls.>", "changes are pull requests"},
	{"$JS.API.DIRECT.GET.KV_slipway-slipway-pulls.>", "changes are pull requests"},
	{"$KV.slipway-slipway-due.>", "a change waits for a time"},
	{"$JS.API.DIRECT.GET.KV_slipway-slipway-due.>", "a change waits for a time"},
	{"$KV.slipway-slipway-rollbacks.>", "a version is bad"},
	{"$JS.API.DIRECT.GET.KV_slipway-slipway-rollbacks.>", "a version is bad"},
	{"slipway.approval.*.*", "a person decides"},
	{"slipway.hold.*.*", "a person decides"},
	{"slipway.change.created.*", "changes are pull requests"},
	{"slipway.artifact.*.*", "an image is deleted, or a webhook is lost"},
	{"slipway.ref.updated.*", "a webhook is lost"},
	{"slipway.incident.*.*", "something is wrong"},
	{"slipway.service.*.*", "an image is older, or gone"},
	{"slipway.state.requested.*", "nothing is known of what runs"},
	{"slipway.environment.modified.*", "no image changed"},
}

// covers says whether a pattern of NATS has all that another one has.
func covers(pattern, other string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(other, ".")
	for i, token := range want {
		switch {
		case token == ">":
			return len(got) > i
		case i >= len(got) || got[i] == ">" || token != "*" && token != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

// needs holds each permission against what the servers were asked for.
func (p *production) needs(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, process := range p.Processes {
		for _, m := range published.FindAllStringSubmatch(process.Log(), -1) {
			if used[m[1]] == nil {
				used[m[1]] = map[string]bool{}
			}
			used[m[1]][m[2]] = true
		}
	}
	found := 0
	for _, u := range grants.Users("local", "north") {
		if !slices.Contains(local.Services, u.Name) {
			continue // a person, or a leaf, whose messages are traced otherwise
		}
		for _, pattern := range u.Publish {
			asked := false
			for subject := range used[u.Name] {
				asked = asked || covers(pattern, subject)
			}
			if asked {
				found++
				continue
			}
			if !slices.ContainsFunc(seldom, func(s struct{ subject, when string }) bool { return covers(s.subject, pattern) }) {
				t.Errorf("%s may publish to %s, which it didn't: take it away, or say when it does", u.Name, pattern)
			}
		}
	}
	const least = 60
	if found < least {
		t.Errorf("only %d permissions were used: this test would prove nothing", found)
	}
}
