package expand

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// apply is an operation on a value. Its errors name no value.
func apply(op, value string, words []string) (string, error) {
	switch op {
	case "":
		return value, nil
	case "length":
		return strconv.Itoa(utf8.RuneCountInString(value)), nil
	case "^^":
		return strings.ToUpper(value), nil
	case ",,":
		return strings.ToLower(value), nil
	case "^":
		return first(value, unicode.ToUpper), nil
	case ",":
		return first(value, unicode.ToLower), nil
	case ":":
		return substring(value, words)
	case "/":
		return replace(value, words, 1), nil
	case "//":
		return replace(value, words, -1), nil
	case "/#":
		if rest, found := strings.CutPrefix(value, words[0]); found {
			return words[1] + rest, nil
		}
		return value, nil
	case "/%":
		if rest, found := strings.CutSuffix(value, words[0]); found {
			return rest + words[1], nil
		}
		return value, nil
	case "#", "##":
		return trim(value, glob(words[0]), op == "##")
	default: // % and %%
		pieces := glob(words[0])
		slices.Reverse(pieces)
		rest, err := trim(reverse(value), pieces, op == "%%")
		return reverse(rest), err
	}
}

func first(value string, change func(rune) rune) string {
	r, n := utf8.DecodeRuneInString(value)
	if n == 0 {
		return value
	}
	return string(change(r)) + value[n:]
}

// replace leaves a value alone when there is nothing to look for: in bash, too,
// an empty pattern matches nothing.
func replace(value string, words []string, n int) string {
	if words[0] == "" {
		return value
	}
	return strings.Replace(value, words[0], words[1], n)
}

// substring counts characters; what is negative counts from the end.
func substring(value string, words []string) (string, error) {
	runes := []rune(value)
	var at [2]int
	for i, w := range words {
		n, err := strconv.Atoi(strings.TrimSpace(w))
		if err != nil {
			return "", errors.New("offset and length are whole numbers")
		}
		at[i] = n
	}
	start := at[0]
	if start < 0 {
		start = max(len(runes)+start, 0)
	}
	start = min(start, len(runes))
	end := len(runes)
	if len(words) > 1 {
		if at[1] < 0 {
			end = max(len(runes)+at[1], start)
		} else if at[1] < len(runes)-start {
			end = start + at[1]
		}
	}
	return string(runes[start:end]), nil
}

// glob makes regular expressions of the pieces of a pattern.
func glob(pattern string) []string {
	var pieces []string
	for pattern != "" {
		class := -1
		if pattern[0] == '[' {
			class = strings.IndexByte(pattern[1:], ']')
		}
		switch {
		case pattern[0] == '*':
			pieces, pattern = append(pieces, "*"), pattern[1:]
		case pattern[0] == '?':
			pieces, pattern = append(pieces, "."), pattern[1:]
		case class > 0:
			inner := pattern[1 : class+1]
			negated := ""
			if rest, found := strings.CutPrefix(inner, "!"); found || strings.HasPrefix(inner, "^") {
				negated, inner = "^", rest
				inner = strings.TrimPrefix(inner, "^")
			}
			inner = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(inner)
			pieces, pattern = append(pieces, "["+negated+inner+"]"), pattern[class+2:]
		default:
			if pattern[0] == '\\' && len(pattern) > 1 {
				pattern = pattern[1:]
			}
			_, n := utf8.DecodeRuneInString(pattern)
			pieces, pattern = append(pieces, regexp.QuoteMeta(pattern[:n])), pattern[n:]
		}
	}
	return pieces
}

// trim takes the shortest or longest match away from the start of a value, in
// time that grows with its length.
func trim(value string, pieces []string, longest bool) (string, error) {
	any := ".*?"
	if longest {
		any = ".*"
	}
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for _, p := range pieces {
		if p == "*" {
			p = any
		}
		b.WriteString(p)
	}
	b.WriteString(")")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return "", errors.New("the pattern is not one of *, ? and [a-z]")
	}
	if at := re.FindStringIndex(value); at != nil {
		return value[at[1]:], nil
	}
	return value, nil
}

func reverse(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}
