package migrate

import (
	"regexp"
	"testing"
)

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
