package migrate

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// ordered is an expression with a group named "order", which is what our tracks
// compare: what a template such as "$ts" or "$major.$minor" makes of a tag that
// the expression matches (regexp.Expand). It is none where that doesn't stand in
// the tag in one piece. An empty template is the whole tag.
func ordered(expression, template string) (match string, ok bool) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return "", false
	}
	names, between, ok := references(template)
	if !ok {
		return "", false
	}
	if len(names) == 0 || slices.Equal(names, []string{"0"}) {
		return expression, re.SubexpIndex("order") < 0
	}
	var piece []group
	all := groups(expression)
	for i, name := range names {
		n := re.SubexpIndex(name)
		if number, err := strconv.Atoi(name); err == nil {
			n = number
		}
		if n < 1 || n > len(all) {
			return "", false
		}
		piece = append(piece, all[n-1])
		if i > 0 && !isLiteral(expression, piece[i-1].end, all[n-1].at, between[i-1]) {
			return "", false
		}
	}
	match, ok = order(expression, piece[0], piece[len(piece)-1])
	if ok {
		_, err = regexp.Compile(match)
	}
	return match, ok && err == nil
}

// order names a group "order", or puts several that follow one another in one; not where
// the last is repeated, as it would be the whole then.
func order(expression string, first, last group) (match string, ok bool) {
	const opening = "(?P<order>"
	if first == last {
		return expression[:first.at] + opening + expression[first.inner:], true
	}
	rest := expression[last.end:]
	if rest != "" && strings.Contains("?*+{", rest[:1]) {
		return "", false
	}
	return expression[:first.at] + opening + expression[first.at:last.end] + ")" + rest, true
}

// isLiteral is whether what stands in an expression from one place to another
// matches a text, and nothing else.
func isLiteral(expression string, from, to int, text string) bool {
	if from > to {
		return false
	}
	re, err := regexp.Compile(expression[from:to])
	if err != nil {
		return false
	}
	prefix, whole := re.LiteralPrefix()
	return whole && prefix == text
}

// reference is a group in a template, by name or number.
var reference = regexp.MustCompile(`\$(?:\w+|\{\w+\})`)

// references are the groups that a template consists of, and what stands between
// them; not ok where something stands before, after, or is no group.
func references(template string) (names, between []string, ok bool) {
	end := 0
	for _, m := range reference.FindAllStringSubmatchIndex(template, -1) {
		if text := template[end:m[0]]; len(names) > 0 {
			between = append(between, text)
		} else if text != "" {
			return nil, nil, false
		}
		names = append(names, strings.Trim(template[m[0]:m[1]], "${}"))
		end = m[1]
	}
	return names, between, end == len(template)
}

// group is where a capturing group of an expression begins, where what it
// captures does, and where it ends.
type group struct{ at, inner, end int }

// groups are the capturing groups of an expression that compiles, by number.
func groups(expression string) []group {
	var all []group
	var open []int // what is open: a group's place in all, -1 for one that captures nothing
	for i := 0; i < len(expression); {
		rest := expression[i:]
		switch {
		case rest[0] == '(':
			length := opening(rest)
			if length > 0 {
				open, all = append(open, len(all)), append(all, group{at: i, inner: i + length})
			} else {
				open = append(open, -1)
			}
			i += max(length, 1)
		case rest[0] == ')' && len(open) > 0:
			i++
			if n := open[len(open)-1]; n >= 0 {
				all[n].end = i
			}
			open = open[:len(open)-1]
		default:
			i += char(rest)
		}
	}
	return all
}

// char is how long the first thing of an expression is that is no parenthesis:
// a quoted text, a class, an escaped character or one that stands for itself.
func char(rest string) int {
	switch {
	case strings.HasPrefix(rest, `\Q`):
		if end := strings.Index(rest, `\E`); end >= 0 {
			return end + 2
		}
		return len(rest)
	case rest[0] == '\\':
		return min(2, len(rest))
	case rest[0] == '[':
		return class(rest)
	}
	return 1
}

// class is the length of a class of characters.
func class(rest string) int {
	i := 1
	if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") { // ] that is first stands for itself
		i = strings.IndexByte(rest, ']') + 1
	}
	for i < len(rest) && rest[i] != ']' {
		if end := strings.Index(rest[i:], ":]"); end > 0 && strings.HasPrefix(rest[i:], "[:") {
			i += end + 2
		} else if rest[i] == '\\' {
			i += 2
		} else {
			i++
		}
	}
	return min(i+1, len(rest))
}

// opening is the length of what opens a capturing group; 0 for one that
// captures nothing.
func opening(text string) int {
	for _, named := range []string{"(?P<", "(?<"} {
		if strings.HasPrefix(text, named) {
			return strings.IndexByte(text, '>') + 1
		}
	}
	if strings.HasPrefix(text, "(?") {
		return 0
	}
	return 1
}

// fixed is the one tag that an expression matches; empty when there may be more.
func fixed(expression string) string {
	text, anchored := strings.CutPrefix(expression, "^")
	text, ended := strings.CutSuffix(text, "$")
	if !anchored || !ended {
		return ""
	}
	tag := strings.ReplaceAll(text, `\.`, ".")
	if regexp.QuoteMeta(tag) != text && tag != text || !events.ValidTag(tag) || strings.Contains(text, ".") && !strings.Contains(text, `\.`) {
		return ""
	}
	return tag
}

// glob is a shell pattern as an expression.
func glob(pattern string) string {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, ".*")
	return "^" + strings.ReplaceAll(quoted, `\?`, ".") + "$"
}

// withFilter is a track's mapping with what is looked at.
func withFilter(t tree, match string, ignore []string) tree {
	set(t, match, "match")
	var all []any
	for _, e := range ignore {
		all = append(all, e)
	}
	set(t, all, "ignore")
	return t
}

// repository is an image's name as policies write it.
func repository(image string) (string, error) {
	r, err := events.ParseImageRepository(image, nil)
	if err != nil {
		return "", err
	}
	return r.String(), nil
}
