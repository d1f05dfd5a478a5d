package provider_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/registry-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// keeper is a bus that keeps what it is given.
type keeper struct {
	mu    sync.Mutex
	kept  []events.Event
	aside int
}

func (k *keeper) Publish(_ context.Context, evs ...events.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, evs...)
	return nil
}

func (k *keeper) Has(context.Context, events.Event, time.Time) (bool, error) { return false, nil }

func (k *keeper) PutAside(context.Context, string, string, []byte, error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.aside++
	return nil
}

// door is a receiver with these sources; their secret is "sesame".
type door struct {
	*keeper
	door *webhook.Door
}

func newDoor(t *testing.T, sources ...service.Source) *door {
	t.Helper()
	t.Setenv("SESAME", "sesame")
	for i := range sources {
		if sources[i].Name == "" {
			sources[i].Name = sources[i].Provider
		}
		if !sources[i].Insecure && sources[i].OIDC == nil && sources[i].Topics == nil {
			sources[i].Secrets = []service.Secret{{Env: "SESAME"}}
		}
	}
	k := &keeper{}
	cfg := service.Config{Receivers: service.Receivers{Sources: sources}}
	d, err := webhook.New("registry-receiver", cfg, provider.Table, k, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return &door{keeper: k, door: d}
}

// call gives status, header and body of the answer; headers are pairs.
func (d *door) call(t *testing.T, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.door.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}
