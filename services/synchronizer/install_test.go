package synchronizer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/client-go/rest"

	"github.com/slipway-cd/slipway/shared/kube"
)

// transport answers in place of an API server: these tests are about what we
// make of its answers, and the real one is in e2e.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func TestInstallWaitsForTheAPIServer(t *testing.T) {
	const forbidden = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"BadRequest","code":400}`
	for name, tc := range map[string]struct {
		away []int // statuses before the final one; 0 for no connection
		code int
		says string
	}{
		"it comes late":       {[]int{0, 0, 503, 429, 500}, 400, "install applications.slipway.dev: no"},
		"it answers at once":  {nil, 400, "install applications.slipway.dev: no"},
		"it never comes back": {nil, 0, context.DeadlineExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				clients, err := kube.New(&rest.Config{Host: "http://cluster", QPS: -1, Transport: transport(func(r *http.Request) (*http.Response, error) {
					calls++
					code := tc.code
					if calls <= len(tc.away) {
						code = tc.away[calls-1]
					}
					if code == 0 {
						return nil, errors.New("connection refused")
					}
					w := httptest.NewRecorder()
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(code)
					if code == tc.code {
						_, _ = w.WriteString(forbidden)
					}
					return w.Result(), nil
				})})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), longestPause*10)
				defer cancel()
				var log bytes.Buffer
				err = install(ctx, clients, slog.New(slog.NewTextHandler(&log, nil)))
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Fatalf("got %v, want %q", err, tc.says)
				}
				if warned := strings.Count(log.String(), "can't be reached"); tc.code != 0 && warned > len(tc.away) || len(tc.away)+1 > calls {
					t.Errorf("%d calls and %d warnings:\n%s", calls, warned, log.String())
				}
			})
		})
	}
}
