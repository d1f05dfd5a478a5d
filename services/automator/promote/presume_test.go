package promote_test

import (
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
)

// asked are the requests to the Git host while something was done.
func (b *bench) asked(do func()) []string {
	var all []string
	b.before = func(r *http.Request) { all = append(all, path.Base(r.URL.Path)) }
	do()
	b.before = nil
	return all
}

// A tag that arrives is decided on what the branch was last, and its push shows whether it
// is still.
func TestAReleaseGoesToTheHostOnce(t *testing.T) {
	b := deployed(t, nil, "1.1.0")
	b.pushed("1.2.0", digestB)
	asked := b.asked(func() { must(t, b.work("ghcr.io/acme/web:1.2.0")) })
	if got := strings.Join(asked, " "); got != "git-receive-pack" {
		t.Errorf("asked for %s", got)
	}
	b.git.Pull()
	if got := b.git.Git("show", "HEAD:apps/web/pod.yaml"); !strings.Contains(got, "1.2.0") {
		t.Errorf("it is %s", got)
	}
	if got := len(b.merged()); got != 2 {
		t.Errorf("told of %d commits", got)
	}
}

// What nobody has told of yet counts all the same.
func TestWhatIsUnseenCounts(t *testing.T) {
	never := strings.Replace(policyFile, "automatic", "never", 1)
	for name, tt := range map[string]struct {
		before, unseen map[string]string
		tag, moved     string
		told           []string
	}{
		"a rule that forbids":    {nil, map[string]string{"policies/shop.yaml": never}, "1.2.0", "1.1.0", []string{"skip: the rule's mode is never"}},
		"a rule that allows":     {nil, map[string]string{"policies/shop.yaml": strings.Replace(policyFile, "<2", "<3", 1)}, "2.0.0", "2.0.0", []string{"deploy: 2.0.0 is the best"}},
		"a file of another kind": {nil, map[string]string{"README.md": "# Shop\n"}, "1.2.0", "1.2.0", []string{"deploy: 1.2.0 is the best"}},
		"another version":        {nil, map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.3.0")}, "1.2.0", "1.3.0", nil},
		"nothing":                {nil, nil, "1.2.0", "1.2.0", []string{"deploy: 1.2.0 is the best"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := deployed(t, tt.before, "1.1.0")
			known := len(b.decisions())
			if tt.unseen != nil {
				b.git.Pull()
				b.git.Commit("unseen", tt.unseen)
			}
			b.pushed(tt.tag, digestB)
			must(t, b.work("ghcr.io/acme/web:"+tt.tag))
			b.git.Pull()
			if got := b.git.Git("show", "HEAD:apps/web/pod.yaml"); !strings.Contains(got, "ghcr.io/acme/web:"+tt.moved) {
				t.Errorf("it is %s", got)
			}
			var told []string
			for _, d := range b.decisions()[known:] {
				if tt.told != nil {
					told = append(told, d)
				} else if strings.HasPrefix(d, string(events.Deploy)) {
					t.Errorf("told %s", d)
				}
			}
			if strings.Join(told, "; ") != strings.Join(tt.told, "; ") {
				t.Errorf("told %q, want %q", told, tt.told)
			}
		})
	}
}
