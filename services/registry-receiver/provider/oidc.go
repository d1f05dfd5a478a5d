package provider

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// identity proves a sender by the OIDC token in its Authorization header: RS256
// and nothing else, by a key of the issuer, for our audience, and of the
// account that the config names.
func identity(ctx context.Context, r webhook.Request, want service.OIDC) error {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return fmt.Errorf("%w: header Authorization is there %d times, not once", webhook.ErrProof, len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return fmt.Errorf("%w: header Authorization has no bearer token", webhook.ErrProof)
	}
	var unavailable error
	claims := &identityClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithStrictDecoding(), jwt.WithIssuer(want.Issuer),
		jwt.WithAudience(want.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(webhook.Now))
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, err := issuers.key(ctx, want.Issuer, kid)
		if err != nil && !errors.Is(err, webhook.ErrProof) {
			unavailable = err
		}
		return key, err
	})
	switch {
	case unavailable != nil:
		return unavailable
	case err != nil:
		return fmt.Errorf("%w: the token is none of the issuer's for us: %w", webhook.ErrProof, err)
	case want.Email != "" && (claims.Email != want.Email || !claims.EmailVerified):
		return fmt.Errorf("%w: the token is another account's", webhook.ErrForbidden)
	case want.Subject != "" && want.Subject != claims.Subject && want.Subject != claims.AppID && want.Subject != claims.AZP:
		return fmt.Errorf("%w: the token is another subject's", webhook.ErrForbidden)
	}
	return nil
}

// identityClaims are what Google and Entra ID say of an account; AppID and AZP
// are Entra's names for an application.
type identityClaims struct {
	jwt.RegisteredClaims
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	AppID         string `json:"appid"`
	AZP           string `json:"azp"`
}

// checkOIDC gives the faults of a source's oidc.
func checkOIDC(o service.OIDC) error {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()))):
		return fmt.Errorf("oidc.issuer: %q is not https://", o.Issuer)
	case o.Audience == "":
		return errors.New("oidc.audience: name the audience that the sender's tokens are for")
	case o.Email == "" && o.Subject == "":
		return errors.New("oidc: name the email or subject of the sender's account: anybody can get a token for any audience")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Fetching keys is the one call that a delivery may cause: it is short, and
// what no key fits causes no more than one a minute.
const (
	clockSkew   = time.Minute
	keysTimeout = 2 * time.Second
	keysLast    = time.Hour
	keysRetry   = time.Minute
	keysBackOff = 5 * time.Second // after a fetch that failed
	maxKeys     = 1 << 20
)

// issuers are the keys of all issuers, as their documents had them last.
var issuers = &keyCache{sets: map[string]*keySet{}, client: &http.Client{
	Timeout: keysTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}}

type keyCache struct {
	mu     sync.Mutex
	sets   map[string]*keySet
	client *http.Client
}

// keySet are one issuer's; the mutex lets one delivery fetch for all.
type keySet struct {
	mu   sync.Mutex
	keys map[string]*rsa.PublicKey
	at   time.Time
	// Of the last fetch, where it failed.
	failed   error
	failedAt time.Time
}

// key is the issuer's key of that id. It errs with [webhook.ErrProof] where
// there is none, and with another error where the keys can't be had.
func (c *keyCache) key(ctx context.Context, issuer, kid string) (*rsa.PublicKey, error) {
	c.mu.Lock()
	set, ok := c.sets[issuer]
	if !ok {
		set = &keySet{}
		c.sets[issuer] = set
	}
	c.mu.Unlock()
	set.mu.Lock()
	defer set.mu.Unlock()
	key, known := set.keys[kid]
	age := webhook.Now().Sub(set.at)
	if set.keys == nil || age > keysLast || (!known && age > keysRetry) {
		if err := set.refresh(ctx, c, issuer); err != nil && !known {
			return nil, fmt.Errorf("get the keys of %s: %w", issuer, err)
		}
		key, known = set.keys[kid]
	}
	if !known {
		return nil, fmt.Errorf("%w: %s has no such key", webhook.ErrProof, issuer)
	}
	return key, nil
}

func (s *keySet) refresh(ctx context.Context, c *keyCache, issuer string) error {
	if s.failed != nil && webhook.Now().Sub(s.failedAt) < keysBackOff {
		return s.failed
	}
	// Others wait for these keys too, so a sender that goes ends nothing.
	keys, err := c.fetch(context.WithoutCancel(ctx), issuer)
	s.failed, s.failedAt = err, webhook.Now()
	if err == nil {
		s.keys, s.at = keys, webhook.Now()
	}
	return err
}

// fetch reads the issuer's discovery document and the keys that it names.
func (c *keyCache) fetch(ctx context.Context, issuer string) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	var discovery struct {
		Keys string `json:"jwks_uri"`
	}
	if err := c.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			Type string `json:"kty"`
			Use  string `json:"use"`
			ID   string `json:"kid"`
			N    string `json:"n"`
			E    string `json:"e"`
		} `json:"keys"`
	}
	if err := c.get(ctx, discovery.Keys, &set); err != nil {
		return nil, err
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if k.Type != "RSA" || (k.Use != "" && k.Use != "sig") || errN != nil || errE != nil || len(n) < 256 || len(e) == 0 || len(e) > 4 {
			continue
		}
		keys[k.ID] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys, nil
}

func (c *keyCache) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxKeys)).Decode(into)
}
