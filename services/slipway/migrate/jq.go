package migrate

import (
	"regexp"
	"strings"
)

// The parts of a jq expression that names fields: of mappings, of lists whole or by
// place, and of those entries of a list that have a value.
var (
	jqField  = regexp.MustCompile(`^\.?\s*([A-Za-z_][A-Za-z0-9_]*)\??`)
	jqQuoted = regexp.MustCompile(`^\.?(?:\["([^"\\]*)"\]|"([^"\\]*)")\??`)
	jqEntry  = regexp.MustCompile(`^\.?\[(\d*)\]\??`)
	jqSelect = regexp.MustCompile(`^\s*\|\s*select\(\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*==\s*(?:"([^"\\/\]]*)"|(\d+|true|false))\s*\)`)
	jqPipe   = regexp.MustCompile(`^\s*\|\s*\.`)
)

// pointer is a jq expression as a path of an Application's ignore; ok is false for
// one that names no fields in so simple a way.
func pointer(expression string) (path string, ok bool) {
	rest := strings.TrimSpace(expression)
	if !strings.HasPrefix(rest, ".") {
		return "", false
	}
	var keys []string
	for rest != "" {
		each := len(keys) > 0 && keys[len(keys)-1] == "*"
		if m := jqSelect.FindStringSubmatch(rest); m != nil {
			if !each {
				return "", false
			}
			keys[len(keys)-1] = "[" + m[1] + "=" + m[2] + m[3] + "]"
			rest = rest[len(m[0]):]
			continue
		}
		if m := jqPipe.FindString(rest); m != "" && len(keys) > 0 {
			rest = rest[len(m)-1:]
		}
		m, key := jqQuoted.FindStringSubmatch(rest), ""
		if m != nil {
			key = escapeKey(m[1] + m[2])
		} else if m = jqField.FindStringSubmatch(rest); m != nil && strings.HasPrefix(rest, ".") {
			key = m[1]
		} else if m = jqEntry.FindStringSubmatch(rest); m != nil {
			key = m[1]
			if key == "" {
				key = "*"
			}
		} else {
			return "", false
		}
		if key == "" {
			return "", false
		}
		keys, rest = append(keys, key), rest[len(m[0]):]
	}
	return "/" + strings.Join(keys, "/"), len(keys) > 0
}

// escapeKey is a key as a JSON pointer has it (RFC 6901, 3).
func escapeKey(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
