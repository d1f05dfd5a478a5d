package sync

import (
	"context"
	"testing"
	"time"
)

// hostMirror is a line whose head is what the host has.
type hostMirror struct {
	lineMirror
	head string
}

func (m hostMirror) Fetch(context.Context, string) (Commit, error) { return testCommit(m.head), nil }

// What another replica has attempted is held against a head that knows of it: this one's
// may be older, or from before the branch went back, and would be waited for in vain.
func TestAHeadIsAsNewAsWhatAnotherReplicaAttempted(t *testing.T) {
	t.Parallel()
	//                    a   b    c    d
	branch := lineMirror{"", "x", "y", "z"}
	before, after := time.Unix(1, 0), time.Unix(3, 0) // the fetch
	for name, c := range map[string]struct {
		known, attempted, host string
		seen                   time.Time
		want                   string
	}{
		"nothing was attempted":            {"c", "", "d", after, "c"},
		"what was attempted is older":      {"c", "b", "d", before, "c"},
		"it is the same":                   {"c", "c", "d", after, "c"},
		"another replica was further":      {"b", "d", "d", before, "d"},
		"and the branch is further yet":    {"b", "c", "d", before, "d"},
		"the branch went back behind it":   {"b", "d", "b", before, "b"},
		"the branch went back to it":       {"d", "b", "b", after, "b"},
		"the branch went on, as was known": {"d", "b", "d", after, "d"},
	} {
		r := &repo{mirror: hostMirror{branch, c.host}, head: testCommit(c.known), fetched: time.Unix(2, 0)}
		got, err := r.asNewAs(t.Context(), testCommit(c.known), c.attempted, c.seen)
		if err != nil || got.Hash() != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A head that contains the commit to which a branch went back may be what it was before.
func TestAHeadFromBeforeTheBranchWentBackIsKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wakes []Wake
		want  bool
	}{
		"nothing of the kind":         {[]Wake{{Reason: ReasonCommit, Commit: "a"}, {Reason: ReasonDrift}}, false},
		"it is what it went back to":  {[]Wake{{Reason: ReasonCommit, Commit: "c", Back: true}}, false},
		"it is another":               {[]Wake{{Reason: ReasonCommit, Commit: "a", Back: true}}, true},
		"it is what it was before":    {[]Wake{{Reason: ReasonCommit, Commit: "c"}, {Reason: ReasonCommit, Commit: "a", Back: true}}, true},
		"it is neither of the two":    {[]Wake{{Reason: ReasonCommit, Commit: "a", Back: true}, {Reason: ReasonCommit, Commit: "b"}}, true},
		"nobody has said what it was": {nil, false},
	} {
		if got := wentBack(c.wakes, testCommit("c")); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
