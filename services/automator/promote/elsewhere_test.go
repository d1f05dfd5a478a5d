package promote_test

import (
	"strings"
	"testing"
)

// An application whose source is not the branch that the automator writes to is
// left alone, and told: a commit to the branch would change nothing of it.
func TestASourceThatIsNotTheBranchIsBlocked(t *testing.T) {
	for name, tt := range map[string]struct{ source, says string }{
		"the branch":     {"branch: main", ""},
		"nothing named":  {"", ""},
		"another branch": {"branch: release", "@release, and the automator writes to"},
		"a tag":          {"tag: v1.0.0", " at tag v1.0.0, and the automator writes to"},
		"a range":        {`semver: ">=1 <2"`, " at semver >=1 <2, and the automator writes to"},
		"a commit":       {"commit: 0123456789abcdef0123456789abcdef01234567", " at commit 0123456789abcdef0123456789abcdef01234567, and the automator writes to"},
		"a Secret's":     {"secret: git", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, map[string]string{
				"cluster/web.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: shop}\nspec:\n" +
					"  source:\n    repository: REPO\n    path: apps/web\n    " + tt.source + "\n",
				"apps/web/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: 'ghcr.io/acme/web:1.0.0'}]}\n",
			})
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.git.Pull()
			moved := strings.Contains(b.git.Git("show", "HEAD:apps/web/pod.yaml"), "1.1.0")
			if moved != (tt.says == "") {
				t.Errorf("moved: %v", moved)
			}
			if got := strings.Join(b.decisions(), "\n"); tt.says != "" && !(strings.Contains(got, "blocked: ") && strings.Contains(got, tt.says)) {
				t.Errorf("decided %s", got)
			}
		})
	}
}
