package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestASourceFollowsOneThing(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		source api.Source
		want   api.Ref
		says   string
	}{
		"nothing is main":       {api.Source{}, api.Ref{Kind: api.RefBranch, Value: "main"}, ""},
		"a branch":              {api.Source{Branch: "release/1.x"}, api.Ref{Kind: api.RefBranch, Value: "release/1.x"}, ""},
		"a tag":                 {api.Source{Tag: "v1.0.0"}, api.Ref{Kind: api.RefTag, Value: "v1.0.0"}, ""},
		"a range":               {api.Source{Semver: ">=1 <2"}, api.Ref{Kind: api.RefSemver, Value: ">=1 <2"}, ""},
		"a commit":              {api.Source{Commit: id}, api.Ref{Kind: api.RefCommit, Value: id}, ""},
		"two":                   {api.Source{Tag: "v1", Commit: id}, api.Ref{}, "tag and commit are both given"},
		"half a commit":         {api.Source{Commit: id[:12]}, api.Ref{}, "40 hex digits"},
		"a commit in capitals":  {api.Source{Commit: strings.ToUpper(id)}, api.Ref{}, "lower case"},
		"a broken range":        {api.Source{Semver: "no range"}, api.Ref{}, `range "no range"`},
		"a whole ref":           {api.Source{Tag: "refs/tags/v1"}, api.Ref{}, "write the name alone"},
		"a name with a space":   {api.Source{Branch: "a b"}, api.Ref{}, "no name that Git takes"},
		"a name with dots":      {api.Source{Branch: "a..b"}, api.Ref{}, "no name that Git takes"},
		"a name that is a flag": {api.Source{Branch: "-x"}, api.Ref{}, "no name that Git takes"},
		"a name with a mark":    {api.Source{Branch: "a?shop/secret"}, api.Ref{}, "no name that Git takes"},
	} {
		got, err := c.source.Ref()
		if c.says == "" && (err != nil || got != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestTheGreatestVersionOfARange(t *testing.T) {
	t.Parallel()
	tags := []string{"v1.0.0", "1.2.0", "v1.10.0", "v1.9.9", "2.0.0-rc.1", "v2.0.0", "20240101", "v3", "nightly", "web-v9.0.0", "01.5.0", "v1.11.0-beta.1", "v1.3"}
	for text, want := range map[string]string{
		">=1 <2": "v1.10.0", "~1.2": "1.2.0", "*": "v2.0.0", ">=2.0.0-0 <2.0.0": "2.0.0-rc.1", ">=9": "",
		"1.3.x": "v1.3", ">=1.11.0-0 <2": "v1.11.0-beta.1", "^1.0.0": "v1.10.0",
	} {
		v, err := api.ParseVersions(text)
		if err != nil {
			t.Fatal(err)
		}
		got := v.Greatest(tags)
		if got != want {
			t.Errorf("%q of %v: %q, want %q", text, tags, got, want)
		}
	}
	v, _ := api.ParseVersions("*")
	if got := v.Greatest([]string{"v1.0.0", "1.0.0+b", "1.0.0"}); got != "1.0.0" {
		t.Errorf("of equal versions %q", got)
	}
	if _, err := api.ParseVersions(" "); err == nil {
		t.Error("an empty range is taken")
	}
}

func FuzzTheGreatestVersionIsInTheRange(f *testing.F) {
	f.Add(">=1 <2", "v1.2.3", "1.2")
	f.Add("*", "1.0.0+build", "v1.0.0-rc.1")
	f.Fuzz(func(t *testing.T, text, a, b string) {
		v, err := api.ParseVersions(text)
		if err != nil {
			return
		}
		if got := v.Greatest([]string{a, b}); got != "" && !v.Has(got) || got == "" && (v.Has(a) || v.Has(b)) {
			t.Errorf("of %q and %q in %q: %q", a, b, text, got)
		}
	})
}

func TestWhatASourceMustNotName(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: shop}\nspec:\n"
	for text, says := range map[string]string{
		"  source: {repository: r, path: p, secret: other/creds}\n":                                      "spec.source.secret",
		"  source: {repository: r, path: p, verify: {keys: [a, 'b:c']}}\n":                               "spec.source.verify.keys[1]",
		"  source: {repository: r, path: p, verify: {keys: []}}\n":                                       "verify.keys is empty",
		"  source: {repository: r, path: p, verify: {key: [a]}}\n":                                       "app.yaml:5: spec.source.verify.key: unknown field",
		"  source: {repository: r, path: p, ignore: ['*.md', ' ']}\n":                                    "spec.source.ignore[1]",
		"  source: {repository: r, path: p, ignore: [\"a\\nb\"]}\n":                                      "spec.source.ignore[0]",
		"  source: {repository: r, path: p, tag: a, branch: b}\n":                                        "spec.source.branch and tag are both given",
		"  source: {repository: r, path: p}\n  destination: {serviceAccount: 'x:default'}\n":             "spec.destination.serviceAccount",
		"  source: {repository: r, path: p}\n  destination: {serviceAccount: shop/default}\n":            "spec.destination.serviceAccount",
		"  source: {repository: r, path: p}\n  dependsOn: [{name: other/web}]\n":                         "another namespace in namespace",
		"  source: {repository: r, path: p}\n  substitute: {from: [{secret: other/vars}]}\n":             "spec.substitute.from[0]",
		"  source: {repository: r, path: p}\n  substitute: {from: [{configMap: 'a/b'}]}\n":               "spec.substitute.from[0]",
		"  source: {repository: r, path: p, semver: '>=1.0 <2', secret: creds.x, verify: {keys: [k]}}\n": "",
	} {
		_, err := api.Decode("app.yaml", []byte(head+text))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
