package pullrequest

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
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

// BatchBranch names the head branch for one pull request of all applications of
// a rule, by the rule's name. RollbackBranch is that of an application's
// rollback. An underscore stands where no application's branch has one.
func BatchBranch(rule string) string {
	plain := unfit.ReplaceAllString(rule, "-")
	return gitrepo.OwnBranches + "batch_" + plain[:min(len(plain), longestName/2)] + "_" + shortHash(rule)
}

// RollbackBranch names the head branch for the rollback of an application that was asked for
// by a request's id. No two are the same: a host may still close what is open of a branch
// that was deleted a while ago.
func RollbackBranch(app events.Application, id string) string {
	return gitrepo.OwnBranches + "rollback_" + strings.TrimPrefix(Branch(app), gitrepo.OwnBranches) + "_" + shortHash(id)
}

// unfit is what a branch's name had better not have.
var unfit = regexp.MustCompile(`[^A-Za-z0-9]+`)

func shortHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:hashDigits]
}
