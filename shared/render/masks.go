package render

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Masks are texts that must not be told: what was decrypted for a render. The
// zero value has none; nil, too.
type Masks struct{ values map[string]bool }

// masked stands in the place of such a text.
const masked = "(a secret value)"

const (
	// shortest is how long a value or a line of it is that is hidden wherever
	// it stands; a shorter one is in every text, and is hidden within quotes.
	shortest = 4
	// shownPrefix is how much of a value YAML's errors tell, in bytes.
	shownPrefix = 7
)

func (m *Masks) add(values ...string) {
	for _, v := range values {
		if v = strings.TrimSpace(v); v == "" {
			continue
		}
		if m.values == nil {
			m.values = map[string]bool{}
		}
		m.values[v] = true
	}
}

// Hide is a text without them, however they are written: quoted, in base64, by
// lines, or cut off.
func (m *Masks) Hide(text string) string {
	if m == nil || len(m.values) == 0 {
		return text
	}
	var forms, quoted []string
	for v := range m.values {
		quoted = append(quoted, strconv.Quote(v), "'"+v+"'", "`"+v+"`")
		if len(v) > shownPrefix {
			forms = append(forms, "`"+v[:shownPrefix]+"...`")
		}
		if len(v) < shortest {
			continue
		}
		whole := strconv.Quote(v)
		forms = append(forms, v, whole[1:len(whole)-1], base64.StdEncoding.EncodeToString([]byte(v)), decimal(v))
		if data, err := json.Marshal(v); err == nil {
			forms = append(forms, string(data[1:len(data)-1]))
		}
		if words := strings.Fields(v); len(words) > 1 {
			for line := range strings.Lines(v) {
				if line = strings.TrimSpace(line); len(line) >= 2*shortest {
					forms = append(forms, line)
				}
			}
			text = hideFolded(text, words)
		}
	}
	forms = append(forms, quoted...)
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, masked)
	}
	return text
}

// hideFolded hides words, however the space between them is written. What is
// no text, or too much of it, is hidden as a whole and by its lines alone.
func hideFolded(text string, words []string) string {
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	pattern, err := regexp.Compile(strings.Join(words, `(?:\s|\\[nrt])+`))
	if err != nil {
		return text
	}
	return pattern.ReplaceAllLiteralString(text, masked)
}

// error hides them in an error of ours.
func (m *Masks) error(err error) error {
	if err == nil || m == nil || len(m.values) == 0 {
		return err
	}
	return eachError(err, func(hidden Error) *Error {
		hidden.Message, hidden.Help = m.Hide(hidden.Message), m.Hide(hidden.Help)
		if hidden.Err != nil && m.Hide(hidden.Err.Error()) != hidden.Err.Error() {
			hidden.Err = nil
		}
		return &hidden
	})
}

// decimal is how Go prints bytes.
func decimal(v string) string {
	numbers := make([]string, len(v))
	for i := range len(v) {
		numbers[i] = strconv.Itoa(int(v[i]))
	}
	return strings.Join(numbers, " ")
}
