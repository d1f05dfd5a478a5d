package sync

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestTrailers(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("a", 64)
	message := "web: 1.1\n\nSlipway-Chain: c1 test/shop/web ghcr.io/acme/web" + digest + "\n" +
		"Slipway-Chain: c2 test/shop/web nginx" + digest + "\r\n" +
		"Slipway-Chain: c3 test/shop/other ghcr.io/acme/web" + digest + "\n" +
		"Slipway-Chain: c4 test/shop/web not an image\nSlipway-Chain: c5\nSigned-off-by: m"
	want := []chain{{"c1", "ghcr.io/acme/web"}, {"c2", "docker.io/library/nginx"}}
	if got := trailers(message, "test/shop/web", nil); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	n := &run{chains: want}
	if got := n.chainsAbout("ghcr.io/acme/web"); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("chains about web: %v", got)
	}
	if got := n.chainsAbout("ghcr.io/acme/db"); !slices.Equal(got, []string{"c1", "c2"}) {
		t.Errorf("chains about what none is about: %v", got)
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	ran := func(images ...string) api.HistoryEntry {
		return api.HistoryEntry{Outcome: api.OutcomeHealthy, Images: images}
	}
	tests := []struct {
		name    string
		now     []string
		history []api.HistoryEntry
		want    []events.Type
	}{
		{"first", []string{"h.io/web:1"}, nil, []events.Type{events.ServiceDeployedType}},
		{"same", []string{"h.io/web:1"}, []api.HistoryEntry{ran("h.io/web:1")}, nil},
		{"new", []string{"h.io/web:2"}, []api.HistoryEntry{ran("h.io/web:1")}, []events.Type{events.ServiceUpgradedType}},
		{"back", []string{"h.io/web:1"}, []api.HistoryEntry{ran("h.io/web:2"), ran("h.io/web:1")}, []events.Type{events.ServiceRolledBackType}},
		{"back after what failed", []string{"h.io/web:1"}, []api.HistoryEntry{{Outcome: api.OutcomeFailed, Images: []string{"h.io/web:2"}}, ran("h.io/web:1")}, nil},
		{"one more", []string{"h.io/db:1", "h.io/web:1"}, []api.HistoryEntry{ran("h.io/web:1")}, []events.Type{events.ServiceDeployedType}},
		{"one less", []string{"h.io/web:1"}, []api.HistoryEntry{ran("h.io/db:1", "h.io/web:1")}, []events.Type{events.ServiceRemovedType}},
	}
	for _, tt := range tests {
		var got []events.Type
		for _, m := range moves(tt.now, tt.history) {
			got = append(got, m.kind)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestConditionsFollowKstatus(t *testing.T) {
	t.Parallel()
	var s api.ApplicationStatus
	has := func(kind string) bool { return s.Condition(kind) != nil }
	conditions{ready: "Unknown", reconciling: true, reason: "Progressing", now: time.Now()}.set(&s)
	if !has(api.ConditionReconciling) || has(api.ConditionStalled) {
		t.Errorf("progressing: %+v", s.Conditions)
	}
	conditions{ready: "False", stalled: true, reason: "Bad", message: strings.Repeat("x", 2*maxMessage), now: time.Now()}.set(&s)
	if has(api.ConditionReconciling) || !has(api.ConditionStalled) || len(s.Condition(api.ConditionReady).Message) > maxMessage+3 {
		t.Errorf("stalled: %+v", s.Conditions)
	}
	conditions{ready: "True", reason: "Healthy", now: time.Now()}.set(&s)
	if len(s.Conditions) != 1 || s.Conditions[0].Status != "True" {
		t.Errorf("ready: %+v", s.Conditions)
	}
}
