package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func TestWhatIsPutAsideIsKeptOnceAndStays(t *testing.T) {
	b := bustest.Start(t)
	for range 2 {
		if err := b.PutAside(t.Context(), "registry-receiver", "dist.one", []byte("no JSON "+strings.Repeat("x", 1<<20)), errors.New("it is no JSON")); err != nil {
			t.Fatal(err)
		}
	}
	dead, err := b.Dead(t.Context())
	if err != nil || len(dead) != 1 || dead[0].Reason != "it is no JSON" || !strings.HasPrefix(string(dead[0].Data), "no JSON x") {
		t.Fatalf("dead letters: %d, %v", len(dead), err)
	}
	if err := b.Replay(t.Context(), dead[0].ID); !errors.Is(err, bus.ErrAside) {
		t.Fatalf("replay: %v, want ErrAside", err)
	}
	if dead, err = b.Dead(t.Context()); err != nil || len(dead) != 1 {
		t.Fatalf("after the replay: %d letters, %v", len(dead), err)
	}
}
