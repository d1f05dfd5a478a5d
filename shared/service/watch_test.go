package service_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/service"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func TestAChangedConfigIsTakenUpAndABadOneIsNot(t *testing.T) {
	file := write(t, good)
	cfg, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	s := &service.Service{Name: "test", Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: prometheus.NewRegistry()}
	clusters := make(chan string, 8)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func(c service.Config) error {
			clusters <- c.Cluster
			if c.Cluster == "refused" {
				return errors.New("no")
			}
			return nil
		})
	}()
	for _, name := range []string{"one", "refused", "two"} {
		// A change in between that can't even be read is passed over.
		replace(t, file, "cluster: [")
		replace(t, file, strings.Replace(good, "production\n", name+"\n", 1))
		if got := <-clusters; got != name {
			t.Fatalf("took up %q, want %q", got, name)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.b.String(), "the old one stays in force") {
		t.Fatalf("a bad config was not told:\n%s", log.b.String())
	}
}

// replace puts a file in place of another, as editors and Kubernetes do.
func replace(t *testing.T, file, text string) {
	t.Helper()
	tmp := filepath.Join(filepath.Dir(file), "new")
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, file); err != nil {
		t.Fatal(err)
	}
}
