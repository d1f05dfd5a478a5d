package sync

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestPlacesThatMustNotBeShared(t *testing.T) {
	t.Parallel()
	r := newRepositories(nil, nil, nil)
	const id = "0123456789abcdef0123456789abcdef01234567"
	keys := map[string]string{}
	for name, c := range map[string]struct {
		namespace string
		source    api.Source
	}{
		"main":                     {"shop", api.Source{}},
		"another branch":           {"shop", api.Source{Branch: "tags/v1"}},
		"a tag":                    {"shop", api.Source{Tag: "v1"}},
		"a branch of the name":     {"shop", api.Source{Branch: "v1"}},
		"a range":                  {"shop", api.Source{Semver: "v1"}},
		"a commit":                 {"shop", api.Source{Commit: id}},
		"a branch like the commit": {"shop", api.Source{Branch: id}},
		"a secret":                 {"shop", api.Source{Secret: "git"}},
		"another's":                {"tenant", api.Source{Secret: "git"}},
		"another secret":           {"shop", api.Source{Secret: "git2"}},
		"another address":          {"shop", api.Source{Secret: "git", Repository: "http://git.example.com/acme/config"}},
	} {
		if c.source.Repository == "" {
			c.source.Repository = "https://git.example.com/acme/config.git"
		}
		p, err := r.place(c.namespace, c.source)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := keys[p.key()]; twice {
			t.Errorf("%s and %s share %s", name, other, p.key())
		}
		keys[p.key()] = name
		if strings.Contains(p.key(), "://") || !strings.HasPrefix(p.key(), "git.example.com/acme/config@") {
			t.Errorf("key %s", p.key())
		}
	}
	same := []api.Source{{Repository: "https://git.example.com/acme/config"}, {Repository: "ssh://git@git.example.com/acme/config.git", Branch: "main"}}
	a, _ := r.place("a", same[0])
	b, _ := r.place("b", same[1])
	if a.key() != b.key() {
		t.Errorf("with the config's credentials %s and %s differ", a.key(), b.key())
	}
	for _, bad := range []api.Source{{Repository: "x"}, {Repository: "https://h/a/b", Secret: "other/git"}, {Repository: "https://h/a/b", Commit: "abc"}} {
		if p, err := r.place("shop", bad); err == nil {
			t.Errorf("%+v is %s", bad, p.key())
		}
	}
}

func TestWhatARefWakes(t *testing.T) {
	t.Parallel()
	r := newRepositories(nil, nil, nil)
	const repository, after = "https://h/acme/config", "0123456789abcdef0123456789abcdef01234567"
	at := func(s api.Source) place {
		s.Repository = repository
		p, err := r.place("shop", s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	main, tag, semver, commit := at(api.Source{}), at(api.Source{Tag: "v1.0.0"}), at(api.Source{Semver: ">=1 <2"}), at(api.Source{Commit: after})
	own := at(api.Source{Secret: "git"})
	for name, c := range map[string]struct {
		ref, after string
		wakes      []place
	}{
		"a push":            {"refs/heads/main", after, []place{main, own, commit}},
		"another branch":    {"refs/heads/other", after, []place{commit}},
		"a branch gone":     {"refs/heads/main", "", nil},
		"the tag":           {"refs/tags/v1.0.0", after, []place{tag, semver, commit}},
		"the tag gone":      {"refs/tags/v1.0.0", "", []place{tag, semver}},
		"a tag in range":    {"refs/tags/v1.7.0", after, []place{semver, commit}},
		"a tag outside":     {"refs/tags/v2.0.0", after, []place{commit}},
		"a tag named main":  {"refs/tags/main", after, []place{commit}},
		"something of Gits": {"refs/pull/1/head", after, []place{commit}},
	} {
		want := map[string]bool{}
		for _, p := range c.wakes {
			want[p.key()] = true
		}
		for _, p := range []place{main, tag, semver, commit, own} {
			w, woken := p.moved(events.RefUpdated{Repository: "h/acme/config", Ref: c.ref, After: c.after}, "chain")
			if woken != want[p.key()] {
				t.Errorf("%s wakes %s: %v", name, p.key(), woken)
			}
			if woken && (p.branch() != "") != (w.Commit == after && w.Chain == "chain") {
				t.Errorf("%s wakes %s with %+v", name, p.key(), w)
			}
		}
		if _, woken := main.moved(events.RefUpdated{Repository: "h/acme/other", Ref: c.ref, After: c.after}, ""); woken {
			t.Errorf("%s of another repository wakes", name)
		}
	}
}
