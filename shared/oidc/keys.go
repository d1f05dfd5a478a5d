package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// errNoKey says that the issuer has no key for a token.
var errNoKey = errors.New("the issuer has no such key for its algorithm")

// Fetching keys is the one call that a token may cause: it is short, and
// what no key fits causes no more than one a minute.
const (
	keysTimeout = 2 * time.Second
	keysLast    = time.Hour
	keysEnd     = 24 * time.Hour // while their issuer is away
	keysRetry   = time.Minute
	keysBackOff = 5 * time.Second // after a fetch that failed
	maxDocument = 1 << 20         // bytes
)

// client follows no redirect: an issuer's documents lie where it says.
func client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: keysTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: keysTimeout, IdleConnTimeout: keysTimeout, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// keySet are an issuer's keys, as its documents had them last.
type keySet struct {
	issuer string
	now    func() time.Time
	client *http.Client

	fetching sync.Mutex // held by the one that asks for all
	mu       sync.Mutex
	keys     []key
	at       time.Time
	// Of the last fetch, where it failed.
	failed   error
	failedAt time.Time
}

// find gives the keys that a token of that header may be signed by. It errs
// with [errNoKey] where there is none, and with [ErrKeys] where they can't be
// had. While one asks the issuer, tokens of known keys don't wait.
func (s *keySet) find(ctx context.Context, h header) (any, error) {
	found, age := s.look(h)
	switch {
	case len(found.Keys) > 0 && age <= keysLast:
		return found, nil
	case len(found.Keys) > 0 && age <= keysEnd:
		if !s.fetching.TryLock() {
			return found, nil
		}
	default:
		s.fetching.Lock()
	}
	defer s.fetching.Unlock()
	// Another may have asked meanwhile.
	found, age = s.look(h)
	known := len(found.Keys) > 0
	if age > keysLast || (!known && age > keysRetry) {
		if err := s.refresh(ctx); err != nil && (!known || age > keysEnd) {
			return nil, fmt.Errorf("%w: %s: %w", ErrKeys, s.issuer, err)
		}
		found, _ = s.look(h)
	}
	if len(found.Keys) == 0 {
		return nil, errNoKey
	}
	return found, nil
}

// look gives what is known, and how old that is.
func (s *keySet) look(h header) (jwt.VerificationKeySet, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found jwt.VerificationKeySet
	for _, k := range s.keys {
		// A token may leave out the id where there is one key (OpenID Connect
		// Core 1.0, 10.1).
		if k.fits(h.alg) && (k.id == h.id || (h.id == "" && len(s.keys) == 1)) {
			found.Keys = append(found.Keys, k.public)
		}
	}
	if s.at.IsZero() {
		return found, keysEnd + 1
	}
	return found, s.now().Sub(s.at)
}

func (s *keySet) refresh(ctx context.Context) error {
	if s.failed != nil && s.now().Sub(s.failedAt) < keysBackOff {
		return s.failed
	}
	// Others wait for these keys too, so a request that goes ends nothing.
	keys, err := s.fetch(context.WithoutCancel(ctx))
	s.failed, s.failedAt = err, s.now()
	if err == nil {
		s.mu.Lock()
		s.keys, s.at = keys, s.now()
		s.mu.Unlock()
	}
	return err
}

// fetch reads the issuer's discovery document and the keys that it names
// (OpenID Connect Discovery 1.0, 4).
func (s *keySet) fetch(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != s.issuer {
		return nil, fmt.Errorf("its discovery document is of issuer %q: write the issuer exactly so", discovery.Issuer)
	}
	if u, err := url.Parse(discovery.Keys); err != nil || u.Host == "" || !safe(u) {
		return nil, fmt.Errorf("its discovery document has jwks_uri %q, which is not https://", discovery.Keys)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.get(ctx, discovery.Keys, &set); err != nil {
		return nil, err
	}
	return readKeys(set.Keys), nil
}

func (s *keySet) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return fmt.Errorf("GET %s: %w", address, err)
	case len(body) > maxDocument:
		return fmt.Errorf("GET %s: it is longer than %d bytes", address, maxDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	return nil
}
