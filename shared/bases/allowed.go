package bases

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// Allowed is what may be fetched.
type Allowed struct{ https, http api.Patterns }

// ParseAllowed reads patterns such as github.com/kubernetes-sigs/**, of names of
// repositories and of addresses without their scheme. One that begins with http://
// allows plain http, too.
func ParseAllowed(list []string) (a Allowed, err error) {
	for _, text := range list {
		rest, lax := strings.CutPrefix(text, "http://")
		p, err := api.ParsePattern(strings.TrimSuffix(rest, ".git"))
		switch {
		case err != nil:
			return a, err
		case strings.Contains(rest, "://"):
			return a, fmt.Errorf("pattern %q: write it without a scheme, such as github.com/acme/**", text)
		case lax:
			a.http = append(a.http, p)
		}
		a.https = append(a.https, p)
	}
	return a, nil
}

// Match says whether a place may be asked.
func (a Allowed) Match(place string, plain bool) bool {
	if plain {
		return a.http.Match(place)
	}
	return a.https.Match(place)
}
