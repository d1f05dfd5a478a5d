package events

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// name is a row of the golden table testdata/names.json, which every service
// is held to by using this package. "out" is what the reading gives, or the
// word error.
type name struct {
	Kind string `json:"kind"` // image, imageRepository, git, application, key, tag, digest, ref
	In   string `json:"in"`
	Out  string `json:"out"`
}

var tableAliases = Aliases{"localhost:5000": "registry:5000", "mirror.example.com": "docker.io", "10.0.0.7:3000": "git.example.com"}

func (n name) read() string {
	var out string
	var err error
	valid := func(ok bool) {
		if out = n.In; !ok {
			err = ErrName
		}
	}
	switch n.Kind {
	case "image":
		var i Image
		i, err = ParseImage(n.In, tableAliases)
		out = i.String()
	case "imageRepository":
		var r ImageRepository
		r, err = ParseImageRepository(n.In, tableAliases)
		out = r.String()
	case "git":
		var r GitRepository
		r, err = ParseGitRepository(n.In, tableAliases)
		out = string(r)
	case "application":
		var a Application
		a, err = ParseApplication(n.In)
		out = a.String()
	case "key":
		out = EncodeKey(n.In)
	case "tag":
		valid(ValidTag(n.In))
	case "digest":
		valid(ValidDigest(n.In))
	case "ref":
		valid(ValidRef(n.In))
	default:
		return "unknown kind"
	}
	if err != nil {
		if !errors.Is(err, ErrName) {
			return "not an ErrName: " + err.Error()
		}
		return "error"
	}
	return out
}

func TestNamesAreThoseOfTheTable(t *testing.T) {
	const file = "testdata/names.json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table []name
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range table {
		got := row
		got.Out = row.read()
		if got.Out != row.Out && !*update {
			t.Errorf("%s %q gives %q, want %q", row.Kind, row.In, got.Out, row.Out)
		}
		line, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, "  "+strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `,"`, `, "`, `":"`, `": "`).Replace(string(line)))
	}
	if *update {
		golden(t, file, []byte("[\n"+strings.Join(rows, ",\n")+"\n]\n"))
	}
}

func TestKeysOfTheTableAreReversible(t *testing.T) {
	for token, want := range map[string]string{"ghcr%2Eio/acme/web": "ghcr.io/acme/web", "ghcr%2eio": "ghcr.io", "%25%2A%3E%20%0A%C3%A9": "%*> \né", "": ""} {
		if got, err := DecodeKey(token); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", token, got, err, want)
		}
	}
	for _, token := range []string{"%", "a%2", "%GG", "%2", "%g0", "% 0", "%\x100"} {
		if got, err := DecodeKey(token); err == nil {
			t.Errorf("%q gives %q, want an error", token, got)
		}
	}
}

// An address may hold a token, and errors are logged.
func TestErrorsOfAddressesHoldNoCredentials(t *testing.T) {
	for _, s := range []string{
		"https://user:s3cret@git.example.com/", "https://user:s3cret@git.example.com/../x", "ftp://s3cret@h/x",
		"user:s3cret@git.example.com/x", "https://s3cret@h:port/x", "user:s3cret@", "https://u:s3cret@h/x@y/../z",
	} {
		if name, err := ParseGitRepository(s, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q gives %q, %v", s, name, err)
		}
	}
}
