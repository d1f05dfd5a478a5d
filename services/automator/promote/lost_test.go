package promote_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// A person's commit of which the Git host told nobody is found, also where no synchronizer
// looks at the repository.
func TestASweepFindsACommitThatNoWebhookToldOf(t *testing.T) {
	b := start(t, map[string]string{"policies/shop.yaml": strings.Replace(policyFile, "automatic", "never", 1)})
	must(t, b.work("head"))
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if b.uses() != "1.0.0" {
		t.Fatalf("uses %s by a rule that is never to move it", b.uses())
	}
	b.git.Pull()
	b.git.Commit("it may be deployed", map[string]string{"policies/shop.yaml": policyFile})
	b.sweep.Interval = 10 * time.Millisecond
	repos, err := b.bus.Queue(t.Context(), "repos", bus.QueueOptions{})
	must(t, err)
	run(t, b.sweep.Run, func(ctx context.Context) error { return repos.Run(ctx, b.deploy.Work) })
	bustest.Until(t, "it is deployed", func() bool { return b.uses() == "1.1.0" })
}
