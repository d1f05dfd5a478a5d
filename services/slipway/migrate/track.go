package migrate

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// ordered is an expression whose group, by name or number, is named "order",
// which is what our tracks compare. An empty group is the whole tag.
func ordered(expression, group string) (match string, ok bool) {
	if group == "" {
		return expression, true
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return "", false
	}
	n := re.SubexpIndex(group)
	if number, err := strconv.Atoi(group); err == nil {
		n = number
	}
	if n == 0 {
		return expression, true
	}
	if n < 0 || n > re.NumSubexp() {
		return "", false
	}
	open, length := capture(expression, n)
	if open < 0 {
		return "", false
	}
	match = expression[:open] + "(?P<order>" + expression[open+length:]
	_, err = regexp.Compile(match)
	return match, err == nil
}

// capture is where the nth group of an expression begins, and how long its
// opening is.
func capture(expression string, n int) (at, length int) {
	class, count := false, 0
	for i := 0; i < len(expression); i++ {
		rest := expression[i:]
		switch {
		case strings.HasPrefix(rest, `\Q`):
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return -1, 0
			}
			i += end + 1
		case expression[i] == '\\':
			i++
		case class:
			if strings.HasPrefix(rest, "[:") {
				if end := strings.Index(rest, ":]"); end > 0 {
					i += end + 1
				}
			} else if expression[i] == ']' {
				class = false
			}
		case expression[i] == '[':
			class = true
			if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") { // ] that is first stands for itself
				i += strings.IndexByte(rest, ']')
			}
		case expression[i] == '(':
			length := opening(rest)
			if length == 0 {
				continue
			}
			if count++; count == n {
				return i, length
			}
		}
	}
	return -1, 0
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

// template is the one group that a template such as "$ts" or "${version}" of a
// regular expression names.
var template = regexp.MustCompile(`^\$(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})$`)

func templateGroup(extract string) (group string, ok bool) {
	if extract == "" || extract == "$0" || extract == "${0}" {
		return "", true
	}
	m := template.FindStringSubmatch(extract)
	if m == nil {
		return "", false
	}
	return cmp.Or(m[1], m[2]), true
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
