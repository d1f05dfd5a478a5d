package local

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// spread hands requests to several receivers in turn, as a load balancer does:
// one that can't be reached, doesn't answer or can't take it now (502, 503, 504)
// passes it on to the next.
type spread struct {
	addrs  []string
	next   atomic.Uint64
	client *http.Client
}

// patience of the spread with one receiver, where there is another.
const spreadTimeout = 500 * time.Millisecond

func newSpread(addrs []string) *spread {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: spreadTimeout}).DialContext, MaxIdleConnsPerHost: 64}
	if len(addrs) > 1 {
		t.ResponseHeaderTimeout = spreadTimeout
	}
	return &spread{addrs: addrs, client: &http.Client{Transport: t}}
}

// ServeHTTP answers what a receiver answered, or 502 where none did.
func (s *spread) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	first := s.next.Add(1)
	for i := range s.addrs {
		last := i == len(s.addrs)-1
		if s.try(rw, r, body, s.addrs[(first+uint64(i))%uint64(len(s.addrs))], last) {
			return
		}
	}
	rw.WriteHeader(http.StatusBadGateway)
}

// try says whether the sender was answered.
func (s *spread) try(rw http.ResponseWriter, r *http.Request, body []byte, addr string, last bool) bool {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+addr+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header, req.Host = r.Header.Clone(), r.Host
	res, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if !last {
			return false
		}
	}
	maps.Copy(rw.Header(), res.Header)
	rw.WriteHeader(res.StatusCode)
	_, _ = io.Copy(rw, res.Body) // a sender that has gone sends again
	return true
}
