package gate

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	connectWithin = 5 * time.Second
	headerWithin  = 10 * time.Second
	// FileWithin is how long one file may take.
	FileWithin = time.Minute
	// MaxRedirects bounds how often a host may send elsewhere.
	MaxRedirects = 5
)

// Transport is how hosts are called for files: none is waited for long.
func Transport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: connectWithin}).DialContext,
		TLSHandshakeTimeout: connectWithin, ResponseHeaderTimeout: headerWithin, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{},
	}
}
