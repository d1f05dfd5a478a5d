package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// A server that has lost the others of its cluster is reached and stores
// nothing: that is told, another is looked for, and all is well when the others
// are back.
func TestAServerWithoutAMajorityIsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	t.Parallel()
	cluster := bustest.StartCluster(t)
	b := bustest.Open(t, bus.Options{URL: cluster.URL(), Replicas: 3, Log: bustest.Silent(), Measure: 400 * time.Millisecond})
	if err := b.Publish(t.Context(), bustest.Artifact(t, "before", "shop/web")); err != nil {
		t.Fatal(err)
	}
	for _, lost := range cluster[1:] {
		lost.Stop()
	}
	bustest.Until(t, "the loss of the majority", func() bool {
		err := b.Healthy()
		return err != nil && strings.Contains(err.Error(), "its streams don't answer")
	})
	before := b.Reconnects()
	bustest.Until(t, "the look for another server", func() bool { return b.Reconnects() > before })
	cluster[1].Start(t)
	bustest.Until(t, "the end of the loss", func() bool { return b.Healthy() == nil })
	if err := b.Publish(t.Context(), bustest.Artifact(t, "after", "shop/web")); err != nil {
		t.Fatal(err)
	}
	cluster[2].Start(t)
}
