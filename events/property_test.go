package events

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// word draws from an alphabet in which names go wrong.
func word(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("aA0.-_/:@%[]*> é\n#?")), 0, 24, -1).Draw(t, label)
}

func TestKeysSurviveTheWayThroughASubject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := string(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		token := EncodeKey(key)
		if strings.ContainsAny(token, ".*> \t\r\n\x00") {
			t.Fatalf("%q is not one token", token)
		}
		if back, err := DecodeKey(token); err != nil || back != key {
			t.Fatalf("%q gives %q, %v", token, back, err)
		}
	})
}

// What was read once is read again as itself: a name can travel as text.
func TestNamesReadAgainAreThemselves(t *testing.T) {
	again := map[string]func(string) (string, error){
		"image": func(s string) (string, error) { v, err := ParseImage(s, nil); return v.String(), err },
		"imageRepository": func(s string) (string, error) {
			v, err := ParseImageRepository(s, nil)
			return v.String(), err
		},
		"git":         func(s string) (string, error) { v, err := ParseGitRepository(s, nil); return string(v), err },
		"application": func(s string) (string, error) { v, err := ParseApplication(s); return v.String(), err },
	}
	for kind, read := range again {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				in := rapid.SampledFrom([]string{"", "https://", "ssh://git@", "h.example/", "localhost:5000/", "a/b/"}).Draw(t, "prefix") + word(t, "rest")
				once, err := read(in)
				if err != nil {
					return
				}
				if twice, err := read(once); err != nil || twice != once {
					t.Fatalf("%q gives %q, which gives %q, %v", in, once, twice, err)
				}
				for _, r := range once {
					if r <= ' ' || r > '~' {
						t.Fatalf("%q gives %q, which is not printable ASCII", in, once)
					}
				}
			})
		})
	}
}

func TestIDsFollowFromTheDelivery(t *testing.T) {
	told := Delivery{Source: "ghcr", SenderID: "72d3", Body: []byte(`{"a":1}`)}
	chain, id := told.IDs()
	again, idAgain := told.IDs()
	if chain != again || id(0) != idAgain(0) || id(1) != idAgain(1) {
		t.Error("the same delivery has other ids")
	}
	seen := map[string]string{chain: "the chain", id(0): "item 0"}
	differs := func(what, id string) {
		t.Helper()
		if was, ok := seen[id]; ok {
			t.Errorf("%s has the id of %s", what, was)
		}
		seen[id] = what
	}
	differs("item 1", id(1))
	for what, d := range map[string]Delivery{
		"another source":              {Source: "quay", SenderID: "72d3", Body: told.Body},
		"another delivery":            {Source: "ghcr", SenderID: "72d4", Body: told.Body},
		"another body":                {Source: "ghcr", SenderID: "72d3", Body: []byte(`{"a":2}`)},
		"no delivery id":              {Source: "ghcr", Body: told.Body},
		"a source that takes its id":  {Source: "ghcr72", SenderID: "d3", Body: told.Body},
		"a body that has a time":      {Source: "ghcr", Body: []byte(`{"time":1}`)},
		"a body with no time, once":   {Source: "ghcr", Body: told.Body, Timeless: true},
		"a body with no time, thrice": {Source: "ghcr", Body: told.Body, Timeless: true},
	} {
		chain, id := d.IDs()
		differs("the chain of "+what, chain)
		differs("item 0 of "+what, id(0))
	}
	follows := FollowID(id(0), DecisionMadeType, "a/b/c")
	differs("what follows", follows)
	differs("what follows for another key", FollowID(id(0), DecisionMadeType, "a/b/d"))
	differs("what follows of another type", FollowID(id(0), ChangeMergedType, "a/b/c"))
	if follows != FollowID(id(0), DecisionMadeType, "a/b/c") {
		t.Error("what follows has another id the second time")
	}
	differs("a chain of a cause", ChainFor("repo", "commit"))
	differs("a chain of a cause cut elsewhere", ChainFor("repocommit"))
}

// Ids are stored in streams and commits: their derivation must never change.
func TestIDsAreThoseOfTheFirstRelease(t *testing.T) {
	chain, id := Delivery{Source: "ghcr-acme", SenderID: "72d3162e", Body: []byte("{}")}.IDs()
	for _, c := range []struct{ what, got, want string }{
		{"chain", chain, "d87d7089-c480-5656-8bba-65c28e1ee925"},
		{"item", id(0), "05a30e73-32a7-5f9f-853a-dba8d098d7ba"},
		{"follow", FollowID(id(0), ChangeMergedType, "a/b"), "06724caf-ada6-5081-96f7-eb77ca32d4e2"},
		{"chain of a cause", ChainFor("a", "b"), "0f1ae256-8924-57f8-9210-6c5e23ac8ab2"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
		}
	}
}
