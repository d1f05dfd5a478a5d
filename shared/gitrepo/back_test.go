package gitrepo_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func TestBackWalksTheHistoryAlsoWhereTheMirrorIsShallow(t *testing.T) {
	work := gitrepotest.Start(t, nil).Create("config.git", map[string]string{"a": "0"})
	for i := range 5 {
		work.Commit(fmt.Sprint("step ", i+1), map[string]string{"a": fmt.Sprint(i + 1)})
	}
	m := open(t, work.URL)
	head := fetch(t, m)
	walk := func(most int, until string) string {
		var seen []string
		err := m.Back(t.Context(), head, most, func(c *gitrepo.Commit) bool {
			seen = append(seen, strings.TrimSpace(c.Message()))
			return seen[len(seen)-1] != until
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(seen, ", ")
	}
	for _, c := range []struct {
		most        int
		until, want string
	}{
		{3, "", "step 5, step 4, step 3"},
		{100, "step 2", "step 5, step 4, step 3, step 2"},
		{100, "", "step 5, step 4, step 3, step 2, step 1, begin"},
	} {
		if got := walk(c.most, c.until); got != c.want {
			t.Errorf("at most %d until %q: %s", c.most, c.until, got)
		}
	}
	parent, ok := head.Parent()
	if !ok || strings.TrimSpace(parent.Message()) != "step 4" {
		t.Errorf("the parent is %v", parent)
	}
}

// A version that came by a merge is as much of the history as one that was pushed.
func TestBackWalksThroughWhatWasMerged(t *testing.T) {
	work := gitrepotest.Start(t, nil).Create("config.git", map[string]string{"a": "0"})
	work.Git("checkout", "-q", "-b", "side")
	work.Git("commit", "-q", "--allow-empty", "-m", "side 1")
	work.Git("checkout", "-q", "main")
	work.Commit("step 1", map[string]string{"a": "1"})
	work.Git("merge", "-q", "--no-ff", "-m", "merge", "side")
	work.Git("push", "-q", "origin", "HEAD:main")
	work.Commit("step 2", map[string]string{"a": "2"})
	m := open(t, work.URL)
	head := fetch(t, m)
	for most, want := range map[int]map[string]bool{2: {"step 2": true, "merge": true}, 100: {"step 2": true, "merge": true, "side 1": true, "step 1": true, "begin": true}} {
		seen := map[string]bool{}
		err := m.Back(t.Context(), head, most, func(c *gitrepo.Commit) bool {
			seen[strings.TrimSpace(c.Message())] = true
			return true
		})
		if err != nil || !maps.Equal(seen, want) {
			t.Errorf("along %d first parents it meets %v (%v), want %v", most, seen, err, want)
		}
	}
}
