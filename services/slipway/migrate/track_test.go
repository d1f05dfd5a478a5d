package migrate

import (
	"cmp"
	"regexp"
	"testing"
)

func TestTheGroupThatIsComparedIsNamedOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, extract, want string }{
		{`^main-[a-f0-9]+-(?P<ts>[0-9]+)$`, "$ts", `^main-[a-f0-9]+-(?P<order>[0-9]+)$`},
		{`^main-[a-f0-9]+-(?<ts>[0-9]+)$`, "${ts}", `^main-[a-f0-9]+-(?P<order>[0-9]+)$`},
		{`^(a|b)-(\d+)$`, "$2", `^(a|b)-(?P<order>\d+)$`},
		{`^(?:a|b)[(]\((\d+)\)$`, "$1", `^(?:a|b)[(]\((?P<order>\d+)\)$`},
		{`^\Q(x)\E[](](\d)$`, "$1", `^\Q(x)\E[](](?P<order>\d)$`},
		{`^[[:alpha:](]+(\d)$`, "$1", `^[[:alpha:](]+(?P<order>\d)$`},
		{`^v(.*)$`, "", `^v(.*)$`},
		{`^v(.*)$`, "$0", `^v(.*)$`},
		{`^v(.*)$`, "$2", ""},
		{`^v(?P<a>.*)$`, "$b", ""},
		{`^v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)-gpu$`, "$major.$minor.$patch", `^v(?P<order>(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+))-gpu$`},
		{`^(\d+)[.](\d+)-r(\d+)`, "${1}.${2}-r$3", `^(?P<order>(\d+)[.](\d+)-r(\d+))`},
		{`^b((\d+)(\d))$`, "$2$3", `^b((?P<order>(\d+)(\d)))$`},
		{`^(\d+)-(\d+)$`, "$1.$2", ""},
		{`^(\d+)-(\d+)$`, "$2-$1", ""},
		{`^(\d+)\.(\d+)$`, "$1.$2.0", ""},
		{`^(\d+)\.(\d+)$`, "v$1.$2", ""},
		{`^(\d+)\.?(\d+)$`, "$1.$2", ""},
		{`^(\d+)\.(\d+)?$`, "$1.$2", ""},
		{`^((\d+)\.)(\d+)$`, "$1$2", ""},
		{`^(\d+)$`, "latest", ""},
		{`^v(.*$`, "$1", ""},
	} {
		got, ok := ordered(c.expression, c.extract)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s with %s is %q (%v), want %q", c.expression, c.extract, got, ok, c.want)
		}
	}
}

func TestATagThatIsTheOnlyOneIsKnown(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"^latest$": "latest", `^1\.2$`: "1.2", "latest": "", "^v.*$": "", "^1.2$": "", "^a|b$": "", "^$": "", "": "",
	} {
		if got := fixed(expression); got != want {
			t.Errorf("%q is %q, want %q", expression, got, want)
		}
	}
}

func TestAShellPatternIsAnExpression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, tag string
		want         bool
	}{{"latest", "latest", true}, {"latest", "latest2", false}, {"1.5.*", "1.5.3", true}, {"1.5.*", "1x5.3", false}, {"v?", "v1", true}, {"v?", "v12", false}} {
		if got := regexp.MustCompile(glob(c.pattern)).MatchString(c.tag); got != c.want {
			t.Errorf("%s takes %s: %v", c.pattern, c.tag, got)
		}
	}
}

// Whatever expression, template and tag are asked for: what the answer compares
// of the tag is what the template makes of it.
func FuzzOrdered(f *testing.F) {
	for _, seed := range []struct{ expression, template, tag string }{
		{`^main-(?P<ts>[0-9]+)$`, "$ts", "main-1"},
		{`^(a|b)[(](\d+)$`, "$2", "a(1"},
		{`\Q(\E(x)`, "$1", "(x"},
		{`[]()](y)`, "$1", ")y"},
		{`(?i)(a)`, "$1", "A"},
		{`[[:^alpha:](](z)`, "$1", "(z"},
		{`(\d)\.(\d)`, "$1.$2", "v1.2"},
		{`(a)|(b)(c)`, "$2$3", "bc"},
		{`(a)(b){2}`, "$1$2", "abb"},
	} {
		f.Add(seed.expression, seed.template, seed.tag)
	}
	f.Fuzz(func(t *testing.T, expression, template, tag string) {
		match, ok := ordered(expression, template)
		if !ok {
			return
		}
		was, is := regexp.MustCompile(expression), regexp.MustCompile(match)
		m := was.FindStringSubmatchIndex(tag)
		if (m == nil) != !is.MatchString(tag) {
			t.Fatalf("%q is %q, which differs over %q", expression, match, tag)
		}
		if m == nil {
			return
		}
		want := string(was.ExpandString(nil, cmp.Or(template, "$0"), tag, m))
		if got := is.FindStringSubmatch(tag)[max(is.SubexpIndex("order"), 0)]; got != want {
			t.Fatalf("%q with %q compares %q of %q, want %q", expression, template, got, tag, want)
		}
	})
}
