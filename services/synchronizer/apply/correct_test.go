package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestAnObjectIsAsItWasLeftOrNot(t *testing.T) {
	t.Parallel()
	const us, others = "local/shop/web", "local/shop/api"
	configMap, job := schema.GroupVersionKind{Kind: "ConfigMap"}, schema.GroupVersionKind{Group: "batch", Kind: "Job"}
	seen := func(uid types.UID, s health.Seen) *health.Seen { s.UID = uid; return &s }
	sent := api.InventoryEntry{State: api.Applied, UID: "1", Fields: hashText(7)}
	made := api.InventoryEntry{State: api.Applied, UID: "1"} // once, and then left to others
	for name, c := range map[string]struct {
		kind  schema.GroupVersionKind
		entry api.InventoryEntry
		seen  *health.Seen
		want  bool
	}{
		"as it was left":               {configMap, sent, seen("1", health.Seen{Owner: us, Fields: 7}), false},
		"fields are others'":           {configMap, sent, seen("1", health.Seen{Owner: us, Fields: 8}), true},
		"made anew":                    {configMap, sent, seen("2", health.Seen{Owner: us, Fields: 7}), true},
		"nobody's":                     {configMap, sent, seen("1", health.Seen{Fields: 7}), true},
		"another's":                    {configMap, sent, seen("1", health.Seen{Owner: others, Fields: 7}), true},
		"gone":                         {configMap, sent, nil, true},
		"a job that is gone":           {job, sent, nil, false},
		"to be left alone":             {configMap, sent, seen("1", health.Seen{Owner: us, Fields: 8, Left: true}), false},
		"another's, to be left alone":  {configMap, sent, seen("1", health.Seen{Owner: others, Fields: 8, Left: true}), true},
		"left to others":               {configMap, made, seen("2", health.Seen{Owner: us, Fields: 8}), false},
		"left to others, and nobody's": {configMap, made, seen("1", health.Seen{Fields: 8}), false},
		"left to others, and gone":     {configMap, made, nil, true},
		"another application's":        {configMap, made, seen("1", health.Seen{Owner: others, Fields: 8}), true},
	} {
		if got := Drifted(c.kind, c.entry, us, c.seen); got != c.want {
			t.Errorf("%s: it differs: %v", name, got)
		}
	}
}
