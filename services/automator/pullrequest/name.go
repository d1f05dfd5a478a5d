package pullrequest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

const (
	// longestName bounds a branch's name in bytes: hosts keep it in a file
	// with ".lock" at its end, and some in a column of 255.
	longestName = 200
	hashDigits  = 10
)

// Branch names the head branch for one application: its name with hyphens for
// slashes. Where another application could have the same, or Git would not
// take it, a hash of the whole name follows after an underscore, which no
// name of an application has.
func Branch(app events.Application) string {
	joined := strings.ReplaceAll(app.String(), "/", "-")
	plain := strings.ReplaceAll(joined, "..", "-")
	if room := longestName - len(gitrepo.OwnBranches) - hashDigits - 1; len(plain) > room {
		plain = plain[:room]
	}
	// The first two hyphens are the slashes again only where cluster and
	// namespace have none of their own.
	clear := !strings.Contains(app.Cluster+app.Namespace, "-")
	if clear && plain == joined && !strings.HasSuffix(plain, ".lock") && !strings.HasSuffix(plain, ".") {
		return gitrepo.OwnBranches + plain
	}
	return gitrepo.OwnBranches + plain + "_" + shortHash(app.String())
}

// BatchBranch names the head branch for one pull request of several
// applications, in whatever order: the same ones have the same branch.
func BatchBranch(apps []events.Application) string {
	var names []string
	for _, a := range apps {
		names = append(names, a.String())
	}
	slices.Sort(names)
	return gitrepo.OwnBranches + "batch-" + shortHash(slices.Compact(names)...)
}

func shortHash(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:])[:hashDigits]
}
