package sync

import (
	"io/fs"
	"testing"
)

type testCommit string

func (c testCommit) Hash() string                     { return string(c) }
func (testCommit) Message() string                    { return "" }
func (testCommit) FS() fs.FS                          { return nil }
func (testCommit) VerifiedBy(map[string][]byte) error { return nil }

// Two events tell of a push of ours: the second is no reason to fetch.
func TestWhatWasEvaluatedIsKnownAgain(t *testing.T) {
	commit := func(hash string) Wake { return Wake{Reason: ReasonCommit, Commit: hash} }
	for name, c := range map[string]struct {
		evaluated string
		wakes     []Wake
		want      bool
	}{
		"told twice more":            {"a", []Wake{commit("a"), {Reason: ReasonCommit, Commit: "a", Chain: "x"}}, true},
		"another commit":             {"a", []Wake{commit("b")}, false},
		"another commit, too":        {"a", []Wake{commit("a"), commit("b")}, false},
		"fetched, and not evaluated": {"b", []Wake{commit("a")}, false},
		"evaluated, and gone back":   {"b", []Wake{commit("b")}, false},
		"no commit is named":         {"a", []Wake{{Reason: ReasonCommit}}, false},
		"a sweep":                    {"a", []Wake{{Reason: ReasonSweep}}, false},
		"a start":                    {"a", []Wake{commit("a"), {Reason: ReasonStart}}, false},
		"nothing woke":               {"a", nil, false},
	} {
		r := &repo{head: testCommit("a"), evaluated: c.evaluated}
		if got := r.evaluatedBy(c.wakes) != nil; got != c.want {
			t.Errorf("%s: known %v", name, got)
		}
	}
	if (&repo{}).evaluatedBy([]Wake{commit("a")}) != nil {
		t.Error("a branch that was never fetched is known")
	}
}
