// Package otlptest takes the spans that are sent by OTLP over HTTP, for tests.
package otlptest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one, with the name of the service that sent it.
type Span struct {
	Service string
	*spans.Span
}

// Sink takes spans at Prefix + /v1/traces, and nothing else.
type Sink struct {
	Prefix string

	mu            sync.Mutex
	spans         []Span
	authorization string
}

// All are the spans that have come.
func (s *Sink) All() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Span(nil), s.spans...)
}

// Authorization is the header of the last request.
func (s *Sink) Authorization() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authorization
}

// ServeHTTP is OTLP's HTTP in protobuf (opentelemetry.io/docs/specs/otlp).
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := s.read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorization = r.Header.Get("Authorization")
	for _, resource := range request.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				s.spans = append(s.spans, Span{service, span})
			}
		}
	}
}

func (s *Sink) read(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	if r.URL.Path != s.Prefix+"/v1/traces" {
		return nil, fmt.Errorf("no traces are taken at %s", r.URL.Path)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var request collector.ExportTraceServiceRequest
	return &request, proto.Unmarshal(data, &request)
}
