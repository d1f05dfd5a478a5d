package service_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// TestSystemdIsTold listens where systemd does.
func TestSystemdIsTold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	t.Setenv("NOTIFY_SOCKET", name)
	told := make(chan string, 10)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			told <- string(buf[:n])
		}
	}()
	server := bustest.Server(t)
	r := servicetest.Start(t, t.TempDir(), server.URL(), "", "", service.Part{Name: "a", Run: func(ctx context.Context, _ *service.Service) error { <-ctx.Done(); return nil }})
	for text := ""; !strings.Contains(text, "READY=1\n"); {
		text = bustest.Receive(t, "ready", told)
	}
	ended := r.End()
	if text := bustest.Receive(t, "stopping", told); text != "STOPPING=1" {
		t.Errorf("told %q", text)
	}
	if err := bustest.Receive(t, "the end", ended); err != nil {
		t.Error(err)
	}
}
