package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckTellsReadyFromNot(t *testing.T) {
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ready.Close()
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the bus is away", http.StatusServiceUnavailable)
	}))
	defer starting.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	if err := Healthcheck(t.Context(), ready.URL); err != nil {
		t.Error(err)
	}
	if err := Healthcheck(t.Context(), starting.URL); err == nil || !strings.Contains(err.Error(), "the bus is away") {
		t.Errorf("the reason is not told: %v", err)
	}
	for _, url := range []string{gone.URL, "http://[", ""} {
		if err := Healthcheck(t.Context(), url); err == nil {
			t.Errorf("%q is healthy", url)
		}
	}
}

func TestHealthcheckAsACommandHasExitCodes(t *testing.T) {
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ready.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--url", ready.URL}, 0},
		{[]string{"--url=" + gone.URL}, 1},
		{[]string{"--help"}, 0},
		{[]string{"--what"}, 2},
		{[]string{ready.URL}, 2},
	} {
		if got := healthcheck(t.Context(), c.args); got != c.want {
			t.Errorf("healthcheck %q: exit %d, want %d", c.args, got, c.want)
		}
	}
}
