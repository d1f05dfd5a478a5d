package webhook_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// TestSecretsRotateUnderTraffic changes the secret as a person does, new
// beside old and then new alone, while a sender goes on: nothing is refused.
func TestSecretsRotateUnderTraffic(t *testing.T) {
	dir := t.TempDir()
	secret := func(name, value string) service.Secret {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		return service.Secret{File: file}
	}
	config := func(secrets ...service.Secret) (cfg service.Config) {
		cfg.Receivers.Sources = []service.Source{{Name: "a", Provider: "lines", Host: "git.example.com", Secrets: secrets}}
		return cfg
	}
	old, fresh := secret("old", "0ld"), secret("new", "n3w")
	door, err := webhook.New("test", config(old), []webhook.Provider{lines(false)}, &keeper{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	post := func(value string) int {
		r := httptest.NewRequest(http.MethodPost, "/hooks/a", strings.NewReader(""))
		r.Header.Set("Authorization", "Bearer "+value)
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code
	}
	var traffic sync.WaitGroup
	value, stop := make(chan string, 1), make(chan struct{})
	value <- "0ld"
	traffic.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				v := <-value
				code := post(v)
				value <- v
				if code != http.StatusAccepted {
					t.Errorf("%s was refused with %d", v, code)
					return
				}
			}
		}
	})
	if err := door.Reload(config(fresh, old)); err != nil {
		t.Fatal(err)
	}
	<-value // the sender is given the new secret
	value <- "n3w"
	if err := door.Reload(config(fresh)); err != nil {
		t.Fatal(err)
	}
	close(stop)
	traffic.Wait()
	if code := post("0ld"); code != http.StatusUnauthorized {
		t.Fatalf("the old secret is answered %d", code)
	}
	// A bad config keeps the old one in force.
	if err := door.Reload(config(service.Secret{File: filepath.Join(dir, "none")})); err == nil {
		t.Fatal("a config whose secret is missing was taken")
	}
	if code := post("n3w"); code != http.StatusAccepted {
		t.Fatalf("after a bad config the secret is answered %d", code)
	}
}
