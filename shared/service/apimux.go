package service

import (
	"encoding/json"
	"net/http"
	"sync"
)

// HandleAPI serves h on listen.api, below a path such as "/v1/", in the place of
// what was served there before. Only a part whose API is set may call it.
func (s *Service) HandleAPI(path string, h http.Handler) { s.listeners.api.handle(path, h) }

// apiMux are the APIs of the process's parts.
type apiMux struct {
	mu     sync.RWMutex
	byPath map[string]http.Handler
	mux    *http.ServeMux
}

func (m *apiMux) handle(path string, h http.Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byPath == nil {
		m.byPath = map[string]http.Handler{}
	}
	m.byPath[path] = h
	m.mux = http.NewServeMux()
	for path, h := range m.byPath {
		m.mux.Handle(path, h)
	}
}

// ServeHTTP answers 503 while no part is there yet.
func (m *apiMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.RLock()
	mux := m.mux
	m.mu.RUnlock()
	if mux == nil {
		starting(w)
		return
	}
	mux.ServeHTTP(w, r)
}

// starting answers while the part that has the answer isn't there yet.
func starting(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": "starting", "status": http.StatusServiceUnavailable}) // the caller is gone: nobody to tell
}
