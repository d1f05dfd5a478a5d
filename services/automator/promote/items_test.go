package promote_test

import (
	"testing"

	"github.com/slipway-cd/slipway/services/automator/promote"
)

func TestItemKind(t *testing.T) {
	for _, tc := range []struct{ item, want string }{
		{"ghcr.io/acme/web:1.0.0", "ghcr.io/acme/web"},
		{"localhost:5000/web:latest", "localhost:5000/web"},
		{"head", ""},
		{"again production/shop/web ghcr.io/acme/web", ""},
		{"runs production/shop/web", ""},
		{`request {"application":"production/shop/web","image":"ghcr.io/acme/web:1.0.0"}`, ""},
		{"", ""},
	} {
		if got := promote.ItemKind(tc.item); got != tc.want {
			t.Errorf("%q is of kind %q, want %q", tc.item, got, tc.want)
		}
	}
}
