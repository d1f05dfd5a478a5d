package service_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
)

// A part is run again with what concerns it, and with nothing else.
func TestAPartIsRunAnewWithTheChangedConfig(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	replace(t, secret, "the first secret of maria")
	server := bustest.Server(t)
	text := func(cluster, more string) string {
		return "cluster: " + cluster + "\nbus: {url: \"" + server.URL() + "\"}\nlisten: {hooks: \"127.0.0.1:0\", api: \"127.0.0.1:0\", metrics: \"127.0.0.1:0\"}\n" +
			"automator: {people: [{name: maria, token: {file: " + secret + "}}]}\n" + more
	}
	file := filepath.Join(dir, "slipway.yaml")
	replace(t, file, text("one", ""))
	cfg, err := service.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	runs, ends := make(chan string), make(chan string)
	part := service.Part{
		Name: "test", Anew: true,
		Check: func(c service.Config) error {
			if c.Cluster == "refused" {
				return errors.New("no")
			}
			return nil
		},
		Run: func(ctx context.Context, s *service.Service) error {
			// What is registered once can be registered again.
			s.Metrics.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "runs_total", Help: "x"}))
			token, err := s.Config.Automator.People[0].Token.Read()
			if err != nil {
				return err
			}
			runs <- s.Config.Cluster + " " + token
			<-ctx.Done()
			ends <- s.Config.Cluster
			return ctx.Err()
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, cfg, part) }()
	wants := func(from chan string, want string) {
		t.Helper()
		if got := <-from; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	wants(runs, "one the first secret of maria")
	replace(t, file, text("refused", "")) // is not taken
	replace(t, file, text("two", ""))
	wants(ends, "one")
	wants(runs, "two the first secret of maria")
	replace(t, secret, "the second secret of maria")
	wants(ends, "two")
	wants(runs, "two the second secret of maria")
	// The receivers' sources are none of its business: the next to come is the
	// change after them.
	replace(t, file, text("two", "receivers: {proxies: [\"10.0.0.0/8\"]}\n"))
	replace(t, file, text("three", "receivers: {proxies: [\"10.0.0.0/8\"]}\n"))
	wants(ends, "two")
	wants(runs, "three the second secret of maria")
	go func() { <-ends }()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
