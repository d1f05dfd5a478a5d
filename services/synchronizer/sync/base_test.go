package sync

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestOnlyWhatASignedCommitNamesByItsHashIsSigned(t *testing.T) {
	sha := strings.Repeat("a1", 20)
	for text, signed := range map[string]bool{
		"https://github.com/acme/x//a?ref=" + sha:            true,
		"https://git.example.com/acme/x?ref=" + sha:          true,
		"https://github.com/acme/x//a?ref=v1.0.0":            false,
		"https://github.com/acme/x//a":                       false,
		"https://github.com/acme/x//a?ref=" + sha[:39]:       false,
		"https://example.com/x.yaml?ref=" + sha:              false,
		"https://raw.githubusercontent.com/a/b/c/d.yaml":     false,
		"git@github.com:acme/x.git//a?ref=" + sha:            true,
		"https://github.com/acme/x//a?ref=refs/heads/" + sha: false,
	} {
		address, err := bases.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pinned(address, false)
		if (err == nil) != signed || err != nil && !errors.Is(err, bases.ErrNotAllowed) {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil && got.File != "" {
			t.Errorf("%s may be a file, too", text)
		}
		if _, err := pinned(address, true); err == nil {
			t.Errorf("%s is taken for a file", text)
		}
	}
}

func TestAnAddressIsReachedOnlyAsWhatAProjectLists(t *testing.T) {
	address, err := bases.Parse("https://git.example.com/acme/x/install.yaml")
	if err != nil || address.Clone == "" || address.File == "" {
		t.Fatalf("%+v, %v", address, err)
	}
	for _, tt := range []struct{ repository, file bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		if got := narrowed(address, tt.repository, tt.file); (got.Clone != "") != tt.repository || (got.File != "") != tt.file {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

func TestWhatMovedIsAReasonToSync(t *testing.T) {
	v := variables{version: "x"}
	if got := v.moved(render.Result{}); got.version != "x" {
		t.Errorf("nothing moves, and it is %q", got.version)
	}
	one, two := v.moved(render.Result{Moving: []string{"a=1"}}), v.moved(render.Result{Moving: []string{"a=2"}})
	if one.version == v.version || one.version == two.version || !strings.HasPrefix(one.version, "x bases=") {
		t.Errorf("%q and %q", one.version, two.version)
	}
}
