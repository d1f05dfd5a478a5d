package e2e_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/render"
)

var (
	built     atomic.Bool
	buildOnce = sync.OnceValues(func() (string, error) {
		built.Store(true)
		dir, err := os.MkdirTemp("", "slipway-bin-")
		if err != nil {
			return "", err
		}
		return dir, local.Build(context.Background(), dir, "registry-receiver", "git-receiver", "automator", "synchronizer", "bus", "slipway")
	})
)

// programs is the folder with our own programs, built once for all tests.
func programs(t testing.TB) string {
	t.Helper()
	dir, err := buildOnce()
	must(t, err)
	return dir
}

// TestMain takes away what the tests built for all of them.
func TestMain(m *testing.M) {
	render.Child()
	code := m.Run()
	if built.Load() {
		if dir, err := buildOnce(); err == nil {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}
