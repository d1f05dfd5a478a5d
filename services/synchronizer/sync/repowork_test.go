package sync

import (
	"context"
	"io/fs"
	"slices"
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

// What the branch was in between may be brought in by another replica right now.
func TestABranchThatIsWhereItWasIsKnown(t *testing.T) {
	t.Parallel()
	branch := lineMirror{"", "x", "y"} // a, b, c
	for name, c := range map[string]struct {
		evaluated string
		wake      Wake
		want      bool
	}{
		"a push that is told once more":  {"b", Wake{Commit: "b", Before: "a"}, false},
		"it was further, and is back":    {"b", Wake{Commit: "b", Before: "c"}, true},
		"it was elsewhere, and is back":  {"b", Wake{Commit: "b", Before: "other"}, true},
		"a push":                         {"b", Wake{Commit: "c", Before: "b"}, false},
		"it is new":                      {"b", Wake{Commit: "b"}, false},
		"nothing was evaluated":          {"", Wake{Commit: "b", Before: "c"}, false},
		"a sweep, which knows no commit": {"b", Wake{Reason: ReasonSweep}, false},
	} {
		r := &repo{mirror: branch, evaluated: c.evaluated}
		if got := r.returned(t.Context(), []Wake{{Reason: ReasonStart}, c.wake}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// lineMirror is a branch of commits "a", "b" and so on, each with the path that it
// changes; the same path in two of them is a change and its contrary.
type lineMirror []string

func (m lineMirror) at(hash string) int { return int(hash[0] - 'a') }

func (lineMirror) Fetch(context.Context, string) (Commit, error) { return nil, ErrGap }
func (lineMirror) Remove() error                                 { return nil }

func (m lineMirror) Between(_ context.Context, from, to string) (all []Commit, err error) {
	if from == "" || m.at(from) > m.at(to) {
		return nil, ErrGap
	}
	for i := m.at(from) + 1; i <= m.at(to); i++ {
		all = append(all, testCommit(rune('a'+i)))
	}
	return all, nil
}

func (m lineMirror) ChangedPaths(_ context.Context, from, to string) (all []string, err error) {
	for _, p := range m[min(m.at(from), m.at(to))+1 : max(m.at(from), m.at(to))+1] {
		if i := slices.Index(all, p); i >= 0 {
			all = slices.Delete(all, i, i+1)
		} else {
			all = append(all, p)
		}
	}
	return all, nil
}
