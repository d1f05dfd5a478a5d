package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

func TestOnlyAllowedAddressesMaySend(t *testing.T) {
	for name, c := range map[string]struct {
		remote, forwarded string
		want              int
	}{
		"inside":                        {"10.1.2.3:40", "", http.StatusAccepted},
		"inside, as IPv6 writes it":     {"[::ffff:10.1.2.3]:40", "", http.StatusAccepted},
		"outside":                       {"192.0.2.1:40", "", http.StatusForbidden},
		"forged by a stranger":          {"192.0.2.1:40", "10.1.2.3", http.StatusForbidden},
		"behind our proxy":              {"172.16.0.1:40", "10.1.2.3", http.StatusAccepted},
		"forged before our proxy":       {"172.16.0.1:40", "10.1.2.3, 192.0.2.1", http.StatusForbidden},
		"nonsense before our proxy":     {"172.16.0.1:40", "nonsense", http.StatusForbidden},
		"behind two proxies":            {"172.16.0.1:40", "192.0.2.1, 10.1.2.3, 172.16.0.2", http.StatusAccepted},
		"no address at all, as in bugs": {"", "10.1.2.3", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			b := openWith(t, lines(false), func(cfg *service.Config) {
				cfg.Receivers.Sources[0].Allow = []string{"10.0.0.0/8"}
				cfg.Receivers.Proxies = []string{"172.16.0.0/12"}
			})
			r := httptest.NewRequest(http.MethodPost, "/hooks/a", strings.NewReader("refs/heads/main"))
			r.Header.Set("Authorization", "Bearer s3cret")
			r.RemoteAddr = c.remote
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			w := httptest.NewRecorder()
			b.door.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Fatalf("answered %d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
}

func TestAboveItsRateASourceIsToldToWait(t *testing.T) {
	for _, waits := range []bool{false, true} {
		b := openWith(t, lines(waits), func(cfg *service.Config) {
			cfg.Receivers.Sources[0].Rate = service.Rate{PerSecond: 20, Burst: 1}
		})
		first, second := b.post("/hooks/a", "refs/heads/main"), b.post("/hooks/a", "refs/heads/main")
		want := http.StatusTooManyRequests
		if waits { // a sender that stops at a 4xx is kept waiting instead
			want = http.StatusAccepted
		}
		if first.Code != http.StatusAccepted || second.Code != want {
			t.Fatalf("waits %v: answered %d, then %d, want %d", waits, first.Code, second.Code, want)
		}
		if want == http.StatusTooManyRequests && second.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}
