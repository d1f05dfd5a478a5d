package grants_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/slipway/grants"
)

func users(t *testing.T) map[string]grants.User {
	t.Helper()
	all := map[string]grants.User{}
	for _, u := range grants.Users("production", "north", "south") {
		all[u.Name] = u
	}
	return all
}

// matches says whether a pattern of NATS has the subject.
func matches(pattern, subject string) bool {
	want, got := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range want {
		switch {
		case token == ">":
			return len(got) > i
		case i >= len(got) || token != "*" && token != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

func may(u grants.User, subject string) bool {
	has := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, subject) })
	}
	return has(u.Publish) && !has(u.Never)
}

// Who publishes what is in the table of events, and nowhere else.
func TestEachTypeIsPublishedByItsEmittersAlone(t *testing.T) {
	t.Parallel()
	for _, k := range events.Kinds {
		subject := events.SubjectPrefix + "." + k.Type.Short() + ".key"
		for name, u := range users(t) {
			service := name
			if strings.HasPrefix(name, "leaf-") {
				service = "synchronizer"
			}
			if want := slices.Contains(k.Emitters, service); may(u, subject) != want {
				t.Errorf("%s may publish %s: %v, want %v", name, subject, !want, want)
			}
		}
	}
}

func TestNobodyTouchesWhatIsAnothers(t *testing.T) {
	t.Parallel()
	all := users(t)
	for _, c := range []struct {
		who, subject string
		want         bool
	}{
		{"leaf-north", "slipwaywork.synchronizer-north.a.b", true},
		{"leaf-north", "slipwaywork.synchronizer-south.a.b", false},
		{"leaf-north", "slipwaywork.synchronizer-production.a.b", false},
		{"leaf-north", "$JS.ACK.SLIPWAY.synchronizer-north.1", true},
		{"leaf-north", "$JS.ACK.SLIPWAY.synchronizer-south.1", false},
		{"synchronizer", "slipwaylease.synchronizer-production.a", true},
		{"synchronizer", "slipwaylease.synchronizer-north.a", false},
		{"automator", "$KV.slipway-slipway-tags.a", true},
		{"synchronizer", "$KV.slipway-slipway-tags.a", false},
		{"automator", "$KV.slipway-past.automator-refs.SLIPWAY.1", true},
		{"automator", "$KV.slipway-past.synchronizer-north.SLIPWAY.1", false},
		{"automator", "$JS.API.CONSUMER.CREATE.SLIPWAY.automator-health", true},
		{"automator", "$JS.API.CONSUMER.CREATE.SLIPWAY.anything", true},
		{"automator", "$JS.API.CONSUMER.CREATE.SLIPWAY.synchronizer-south", false},
		{"automator", "$JS.API.CONSUMER.CREATE.SLIPWAY.synchronizer-south.slipway.>", false},
		{"automator", "$JS.API.CONSUMER.DELETE.SLIPWAY.automator-health", false},
		{"automator", "$JS.API.STREAM.UPDATE.SLIPWAY", true},
		{"git-receiver", "$JS.API.STREAM.UPDATE.SLIPWAY", false},
		{"git-receiver", "slipwaydead.git-receiver.aside.x", true},
		{"git-receiver", "slipwaydead.registry-receiver.aside.x", false},
		{"slipway", "$JS.API.CONSUMER.CREATE.SLIPWAY.anything.slipway.*.*.*", true},
		{"slipway", "$JS.API.CONSUMER.MSG.NEXT.SLIPWAY.automator", false},
		{"operator", "$JS.API.STREAM.MSG.DELETE.SLIPWAY_DEAD", true},
		{"operator", "$JS.API.STREAM.MSG.DELETE.SLIPWAY", false},
	} {
		if got := may(all[c.who], c.subject); got != c.want {
			t.Errorf("%s may publish %s: %v", c.who, c.subject, got)
		}
	}
	for name, u := range all {
		for _, subject := range []string{"$JS.API.STREAM.DELETE.SLIPWAY", "$JS.API.STREAM.PURGE.SLIPWAY", "$JS.API.STREAM.MSG.DELETE.SLIPWAY", "$SYS.x", "x"} {
			if may(u, subject) {
				t.Errorf("%s may publish %s", name, subject)
			}
		}
	}
}

// Answers to one come to no other.
func TestInboxesAreApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, u := range users(t) {
		for _, s := range u.Subscribe {
			for other, whose := range seen {
				if matches(other, strings.TrimSuffix(s, ">")+"x") || matches(s, strings.TrimSuffix(other, ">")+"x") {
					t.Errorf("%s hears what is for %s: %s", name, whose, s)
				}
			}
			seen[s] = name
		}
	}
}
