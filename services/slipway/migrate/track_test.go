package migrate

import (
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
		{`^(\d+)-(\d+)$`, "$1.$2", ""},
		{`^v(.*$`, "$1", ""},
	} {
		group, ok := templateGroup(c.extract)
		got := ""
		if ok {
			got, _ = ordered(c.expression, group)
		}
		if got != c.want {
			t.Errorf("%s with %s is %q, want %q", c.expression, c.extract, got, c.want)
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

// Whatever expression, group and place are asked for, the answer compiles and
// matches what the question did.
func FuzzOrdered(f *testing.F) {
	for _, seed := range []string{`^main-(?P<ts>[0-9]+)$`, `^(a|b)[(](\d+)$`, `\Q(\E(x)`, `[]()](y)`, `(?i)(a)`, `[[:^alpha:](](z)`} {
		f.Add(seed, 1, "main-1")
	}
	f.Fuzz(func(t *testing.T, expression string, n int, tag string) {
		re, err := regexp.Compile(expression)
		if err != nil || n < 1 || n > re.NumSubexp() {
			return
		}
		at, length := capture(expression, n)
		if at < 0 {
			return
		}
		again, err := regexp.Compile(expression[:at] + "(?P<order>" + expression[at+length:])
		if err != nil {
			return // the name is there already
		}
		was, is := re.FindStringSubmatchIndex(tag), again.FindStringSubmatchIndex(tag)
		if (was == nil) != (is == nil) || again.SubexpIndex("order") != n {
			t.Fatalf("%q, group %d: %q gives %v and %v", expression, n, tag, was, is)
		}
	})
}
