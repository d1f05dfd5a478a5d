package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// identity proves a sender by the OIDC token in its Authorization header: RS256
// and nothing else, by a key of the issuer, for our audience, and of the
// account that the config names.
func identity(ctx context.Context, r webhook.Request, want service.OIDC) error {
	token, err := oidc.Bearer(r.Header)
	if err != nil {
		return fmt.Errorf("%w: %w", webhook.ErrProof, err)
	}
	claims, err := issuers.of(want.Issuer).Verify(ctx, token, want.Audience)
	switch {
	case errors.Is(err, oidc.ErrToken):
		return fmt.Errorf("%w: %w", webhook.ErrProof, err)
	case err != nil:
		return err
	}
	if email, verified := claims.Email(); want.Email != "" && (email != want.Email || !verified) {
		return fmt.Errorf("%w: the token is another account's", webhook.ErrForbidden)
	}
	// appid and azp are Entra ID's names for an application.
	if want.Subject != "" && claims.Subject() != want.Subject && claims["appid"] != any(want.Subject) && claims["azp"] != any(want.Subject) {
		return fmt.Errorf("%w: the token is another subject's", webhook.ErrForbidden)
	}
	return nil
}

// checkOIDC gives the faults of a source's oidc.
func checkOIDC(o service.OIDC) error {
	if err := oidc.CheckURL(o.Issuer); err != nil {
		return fmt.Errorf("oidc.issuer: %w", err)
	}
	switch {
	case o.Audience == "":
		return errors.New("oidc.audience: name the audience that the sender's tokens are for")
	case o.Email == "" && o.Subject == "":
		return errors.New("oidc: name the email or subject of the sender's account: anybody can get a token for any audience")
	}
	return nil
}

// issuers are those of all sources, so that sources of one issuer have its keys
// together.
var issuers = &issuerSet{all: map[string]*oidc.Issuer{}}

type issuerSet struct {
	mu  sync.Mutex
	all map[string]*oidc.Issuer
}

// senderAlgorithms: Google and Entra ID sign with RS256.
var senderAlgorithms = []string{"RS256"}

func (s *issuerSet) of(url string) *oidc.Issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[url] == nil {
		s.all[url] = oidc.New(url, oidc.Options{Algorithms: senderAlgorithms, Now: func() time.Time { return webhook.Now() }})
	}
	return s.all[url]
}
