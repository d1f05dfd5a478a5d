package expand_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/shared/render/expand"
)

var values = map[string]string{
	"A": "apple", "EMPTY": "", "P": "a/b/c.tar.gz", "U": "Grüße", "N": "3", "X": "${A}", "LONG_name1": "v",
}

func lookup(name string) (string, bool) {
	v, ok := values[name]
	return v, ok
}

func run(text string, lenient bool) (string, error) {
	t, err := expand.Parse(text)
	if err != nil {
		return "", err
	}
	return t.Expand(lookup, lenient)
}

// TestExpand has what fluxcd/pkg/envsubst gives, too, but for those that say
// otherwise.
func TestExpand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "plain $A {A} $ $(A) a$": "plain $A {A} $ $(A) a$",
		"<${A}>": "<apple>", "${A}${A}": "appleapple", "${LONG_name1}": "v", "${EMPTY}": "",
		"$${A}": "${A}", "a$$b": "a$b", "$$${A}": "$apple", "$$$${A}": "$${A}",
		"${X}":   "${A}", // a value isn't read again
		"${B:=}": "", "${B:=d}": "d", "${B:-d e:f}": "d e:f", "${B=d}": "d", "${EMPTY:=d}": "d", "${EMPTY=d}": "d", "${A:=d}": "apple",
		"${B:=${A}}": "apple", "${B:=x${C:-y}z}": "xyz", "${A:=${NONE}}": "apple", // bash: a default that isn't needed isn't read
		"${B:=a$$b}": "a$$b", "${A/p/$$}": "a$ple",
		"${A^}": "Apple", "${A^^}": "APPLE", "${U,,}": "grüße", "${U,}": "grüße",
		"${A:1}": "pple", "${A:1:2}": "pp", "${A:0:-1}": "appl", "${A:9}": "", "${A:1:99}": "pple", "${A:${N}}": "le",
		"${A: -3}": "ple", "${A: -9:2}": "ap", "${A:3:-4}": "", // bash's way with negative offsets; Flux gives the whole
		"${A:1:9223372036854775807}": "pple", "${U:2:2}": "üß", "${#U}": "5", // characters, never a part of one
		"${A/p/q}": "aqple", "${A//p/q}": "aqqle", "${A/#a/b}": "bpple", "${A/%e/y}": "apply", "${A/#p/b}": "apple", "${A/p/}": "aple",
		`${P/\//-}`: "a-b/c.tar.gz", `${P//\//-}`: "a-b-c.tar.gz", "${A//${N}/x}": "apple", "${A/p/${N}}": "a3ple", "${A///x}": "apple",
		"${P#*/}": "b/c.tar.gz", "${P##*/}": "c.tar.gz", "${P%.*}": "a/b/c.tar", "${P%%.*}": "a/b/c", "${P#?/}": "b/c.tar.gz",
		"${P#[a-c]}": "/b/c.tar.gz", "${P#[!x]}": "/b/c.tar.gz", "${P#x}": "a/b/c.tar.gz", "${P%[a-z]}": "a/b/c.tar.g", "${P#*}": "a/b/c.tar.gz", "${P##*}": "",
		"${#A}": "5", "${#EMPTY}": "0",
	} {
		if got, err := run(text, false); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestExpandFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		offset   int
		variable string
		message  string
	}{
		"x ${NONE}":      {2, "NONE", "variable NONE has no value"},
		"${NONE^^}":      {0, "NONE", "variable NONE has no value"},
		"${#NONE}":       {0, "NONE", "variable NONE has no value"},
		"${B:=${NONE}}":  {5, "NONE", "variable NONE has no value"},
		"${A/p/${NONE}}": {6, "NONE", "variable NONE has no value"},
		"a ${}":          {2, "", "${} is not a variable"},
		"${1}":           {0, "", "${1} is not a variable"},
		"${a.b}":         {0, "", "${a.b} is not an expression that is known"},
		"${A":            {0, "", "${A is not closed with }"},
		"${A:=x":         {0, "", "${A is not closed with }"},
		"${A:x}":         {0, "", "${A:x}: offset and length are whole numbers"},
		"${A:}":          {0, "", "whole numbers"},
		"${A:?x}":        {0, "", "operator :?"},
		"${A:+x}":        {0, "", "operator :+"},
		"${A-x}":         {0, "", "operator -"},
		"${A/x}":         {0, "", "does not say what to write instead"},
		"${A@Q}":         {0, "", "${A@Q} is not an expression"},
		"${A^^x}":        {0, "", "${A^^x} is not an expression"},
		"${A#[z-a]}":     {0, "", "the pattern is not one of"},
		strings.Repeat("${B:=", 20) + strings.Repeat("}", 20): {80, "", "more than 16 deep"},
	} {
		_, err := run(text, false)
		e, ok := errors.AsType[*expand.Error](err)
		if !ok || e.Offset != want.offset || e.Variable != want.variable || !strings.Contains(e.Message, want.message) {
			t.Errorf("%s: got %+v", text, err)
		}
	}
}

func TestLenientKeepsWhatHasNoValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"${A}/${NONE}": "apple/${NONE}", "${NONE:=d}": "d", "${NONE//a/${A}}": "${NONE//a/${A}}", "${A/p/${NONE}}x": "${A/p/${NONE}}x",
	} {
		if got, err := run(text, true); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"${A}", "$$${B:=${A:1:2}}", `${P//\//-}`, "${P##*[a-z]}", "${#U}", "${", "${A#[]}", "${A#[^]}", "${A%[a-}", "${A:-1:-1}"} {
		f.Add(seed, "value/x")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		all := func(string) (string, bool) { return value, true }
		parsed, err := expand.Parse(text)
		if err != nil {
			if e, ok := errors.AsType[*expand.Error](err); !ok || e.Offset < 0 || e.Offset >= len(text) || e.Variable != "" {
				t.Fatalf("%q: %+v", text, err)
			}
			return
		}
		got, err := parsed.Expand(all, false)
		if err != nil {
			if e, ok := errors.AsType[*expand.Error](err); !ok || e.Variable != "" {
				t.Fatalf("%q: %+v", text, err)
			}
			return
		}
		if utf8.ValidString(text) && utf8.ValidString(value) && !utf8.ValidString(got) {
			t.Fatalf("%q makes %q of valid text", text, got)
		}
		if !strings.Contains(text, "$") && (got != text || !parsed.Plain(text)) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestExpandIsBounded(t *testing.T) {
	t.Parallel()
	big := func(string) (string, bool) { return strings.Repeat("a", 1000), true }
	parsed, err := expand.Parse(strings.Repeat("${A//a/", 15) + "x" + strings.Repeat("}", 15))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Expand(big, false); err == nil || !strings.Contains(err.Error(), "becomes larger than") {
		t.Errorf("got %v", err)
	}
	parsed, _ = expand.Parse(strings.Repeat("${A}", 5000))
	if _, err := parsed.Expand(big, false); err == nil || !strings.Contains(err.Error(), "becomes larger than") {
		t.Errorf("got %v", err)
	}
}
