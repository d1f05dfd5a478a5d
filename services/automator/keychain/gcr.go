package keychain

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2/google"

	"github.com/slipway-cd/slipway/shared/registry"
)

// gcrScope is what Google's registries want a token for.
const gcrScope = "https://www.googleapis.com/auth/cloud-platform"

// gcrSource asks for an access token by Google's default credentials: workload
// identity, the machine's account, or the file that
// GOOGLE_APPLICATION_CREDENTIALS names. go-containerregistry's own keychain
// isn't used, since it stays without credentials when the first try fails.
func gcrSource(string) registry.Source {
	return func(ctx context.Context) (none authn.AuthConfig, never time.Time, err error) {
		source, err := google.DefaultTokenSource(ctx, gcrScope)
		if err != nil {
			return none, never, fmt.Errorf("sign in to Google: %w", err)
		}
		token, err := source.Token()
		if err != nil {
			return none, never, fmt.Errorf("sign in to Google: %w", err)
		}
		return authn.AuthConfig{Username: "oauth2accesstoken", Password: token.AccessToken}, renewAt(token.Expiry), nil
	}
}
