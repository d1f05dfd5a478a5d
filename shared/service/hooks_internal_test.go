package service

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// taker has one source.
type taker string

func (s taker) Has(r *http.Request) bool { return SourceOf(r) == string(s) }
func (s taker) Wants(*http.Request) bool { return true }
func (s taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.Has(r) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// A webhook of a part that isn't there yet must come again: another part would
// say that there is no such source.
func TestWebhooksWaitForAllParts(t *testing.T) {
	t.Parallel()
	m := &hookMux{wanted: 2}
	s := &Service{listeners: &listeners{hooks: m}}
	for registered, want := range []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusAccepted} {
		if registered > 0 {
			s.HandleHooks([]HookHandler{taker("registry"), taker("git")}[registered-1])
		}
		got := httptest.NewRecorder()
		m.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/git", nil))
		if got.Code != want || m.complete() != (registered == 2) {
			t.Errorf("with %d of 2 parts: %d, want %d", registered, got.Code, want)
		}
	}
}
