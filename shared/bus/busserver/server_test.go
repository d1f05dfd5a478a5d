package busserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus/busserver"
)

func TestWhatKeepsAServerFromStartingIsToldAtOnce(t *testing.T) {
	first, err := busserver.Start(busserver.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Shutdown()
	if err := first.Healthy(); err != nil {
		t.Errorf("a new one: %v", err)
	}
	_, err = busserver.Start(busserver.Options{Dir: t.TempDir(), Addr: strings.TrimPrefix(first.URL(), "nats://")})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port in use: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = busserver.Start(busserver.Options{Dir: file, Addr: "127.0.0.1:0"}); err == nil || strings.Contains(err.Error(), "not ready after") {
		t.Errorf("a file for a folder: %v", err)
	}
}
