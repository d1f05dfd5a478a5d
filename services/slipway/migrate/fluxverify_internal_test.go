package migrate

import (
	"regexp"
	"testing"
)

// Flux's expressions match somewhere, ours the whole.
func TestAnExpressionMatchesTheSame(t *testing.T) {
	t.Parallel()
	texts := []string{"a", "b", "ab", "ba", "xay", "a$", `a\`, "", "xb", "bx", "A"}
	for _, expression := range []string{"a", "^a", "a$", "^a$", "a|b", "^a|b$", "^(a|b)$", `a\$`, `a\\$`, "(?i)^a$", ".", "^.*$"} {
		is := matchingAll(expression)
		whole := regexp.MustCompile(`\A(?:` + is + `)\z`)
		for _, text := range texts {
			if want := regexp.MustCompile(expression).MatchString(text); whole.MatchString(text) != want {
				t.Errorf("%q became %q, and %q matches: %v", expression, is, text, !want)
			}
		}
	}
}
