package sync

import "testing"

// A replica that was away sees a commit and its contrary at once, which is no
// change to it; but another one has attempted the first.
func TestWhatAnotherReplicaAttemptedIsCompared(t *testing.T) {
	t.Parallel()
	const away = "a"
	branch := lineMirror{"", "root/x", "root/x", "web/x", "web/y"}
	for name, c := range map[string]struct {
		key, evaluated, attempted, head string
		want                            bool
	}{
		"a change that was taken back":           {"root", away, "b", "c", true},
		"the same, and more since":               {"root", away, "b", "e", true},
		"the contrary was attempted, too":        {"root", away, "c", "d", false},
		"another application's":                  {"web", away, "b", "c", false},
		"one that came after it":                 {"web", away, "b", "d", true},
		"the head":                               {"root", away, "d", "d", false},
		"nothing":                                {"root", away, "", "d", false},
		"what this replica has evaluated":        {"root", "b", "b", "c", false}, // its changes tell
		"before what this replica has evaluated": {"web", "d", "a", "e", false},
		"the branch went back":                   {"root", "d", "d", "b", true},
		"one of which nothing is known":          {"other", away, "b", "c", true},
	} {
		r := &repo{mirror: branch, index: newIndex(), evaluated: c.evaluated}
		r.index.set("root", []string{"root"})
		r.index.set("web", []string{"web"})
		for range 2 { // it is asked for each application, and remembers
			if got := r.strayed(t.Context(), c.key, c.attempted, testCommit(c.head)); got != c.want {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// Who works on an application may record a commit after the branch has left it, and a
// commit and its contrary are no change to what was recorded before.
func TestWhatIsRecordedLateIsCompared(t *testing.T) {
	t.Parallel()
	branch := lineMirror{"", "root/x", "root/x", "web/x"} // a, b, c, d
	for name, c := range map[string]struct {
		key, attempted, head string
		want                 bool
	}{
		"what the head takes back":         {"root", "b", "c", true},
		"the same, and more since":         {"root", "b", "d", true},
		"another application's change":     {"web", "b", "c", false},
		"the head":                         {"root", "c", "c", false},
		"nothing":                          {"root", "", "c", false},
		"what is newer than the head":      {"root", "c", "b", false},
		"one of whose inputs nobody knows": {"other", "b", "c", true},
		"of which both are the same to it": {"root", "c", "d", false},
	} {
		r := &repo{mirror: branch, index: newIndex()}
		r.index.set("root", []string{"root"})
		r.index.set("web", []string{"web"})
		if got := r.overtakes(t.Context(), c.key, c.attempted, c.head); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
