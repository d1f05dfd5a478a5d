package sync

import (
	"context"
	"testing"
)

// hostMirror is a line whose head is what the host has.
type hostMirror struct {
	lineMirror
	head string
}

func (m hostMirror) Fetch(context.Context) (Commit, error) { return testCommit(m.head), nil }

// What another replica has applied is held against a head that knows of it: this one's
// may be older, and would be waited for in vain.
func TestAHeadIsAsNewAsWhatAnotherReplicaApplied(t *testing.T) {
	t.Parallel()
	//                    a   b    c    d
	branch := lineMirror{"", "x", "y", "z"}
	for name, c := range map[string]struct{ known, applied, host, want string }{
		"what is applied is older":       {"c", "b", "d", "c"},
		"it is the same":                 {"c", "c", "d", "c"},
		"another replica was further":    {"b", "d", "d", "d"},
		"and the branch is further yet":  {"b", "c", "d", "d"},
		"the branch went back behind it": {"b", "d", "b", "b"},
	} {
		r := &repo{mirror: hostMirror{branch, c.host}, head: testCommit(c.known)}
		got, err := r.asNewAs(t.Context(), testCommit(c.known), c.applied)
		if err != nil || got.Hash() != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
