package keychain

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-cd/slipway/shared/registry"
)

// acrSource exchanges a token of Entra ID for the refresh token of a registry of
// Azure's, which lives for three hours: by workload identity, a managed identity, or the variables
// AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.
func acrSource(host string) registry.Source {
	return func(ctx context.Context) (authn.AuthConfig, time.Time, error) {
		token, err := bounded(ctx, func() (string, error) {
			_, token, err := credhelper.NewACRCredentialsHelper().Get(host)
			return token, err
		})
		if err != nil {
			return authn.AuthConfig{}, time.Time{}, fmt.Errorf("sign in to Azure: %w", err)
		}
		return authn.AuthConfig{Username: "<token>", IdentityToken: token}, renewAt(expiry(token)), nil
	}
}

// expiry is the time at which a JSON web token ends, zero where it doesn't tell.
// It isn't verified: that is the registry's business.
func expiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}
	}
	return time.Unix(claims.Exp, 0)
}
