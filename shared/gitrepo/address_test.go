package gitrepo

import (
	"strings"
	"testing"
)

func TestAddressesAreReadAsGitReadsThem(t *testing.T) {
	for raw, want := range map[string]address{
		"https://git.example.com/acme/config.git":    {"https", "", "git.example.com", "", "/acme/config.git"},
		"http://git.example.com:3000/acme":           {"http", "", "git.example.com", "3000", "/acme"},
		"ssh://git@git.example.com:2222/acme/c.git":  {"ssh", "git", "git.example.com", "2222", "/acme/c.git"},
		"ssh://git.example.com/~maria/c.git":         {"ssh", "", "git.example.com", "", "~maria/c.git"},
		"ssh://git@[2001:db8::1]/acme/c.git":         {"ssh", "git", "2001:db8::1", "", "/acme/c.git"},
		"git@git.example.com:acme/config.git":        {"ssh", "git", "git.example.com", "", "acme/config.git"},
		"git.example.com:acme/config.git":            {"ssh", "", "git.example.com", "", "acme/config.git"},
		"git@git.example.com:/srv/config.git":        {"ssh", "git", "git.example.com", "", "/srv/config.git"},
		"git@[2001:db8::1]:acme/config.git":          {"ssh", "git", "2001:db8::1", "", "acme/config.git"},
		"git@ssh.dev.azure.com:v3/acme/shop/config":  {"ssh", "git", "ssh.dev.azure.com", "", "v3/acme/shop/config"},
		"org-1@github.com:acme/config.git":           {"ssh", "org-1", "github.com", "", "acme/config.git"},
		"https://maria@git.example.com/acme/config":  {},
		"https://m:pa55@git.example.com/acme/config": {},
		"ssh://git:pa55@git.example.com/acme/config": {},
		"git:pa55@git.example.com:acme/config":       {},
		"file:///srv/config.git":                     {},
		"/srv/config.git":                            {},
		"":                                           {},
	} {
		got, err := parseAddress(raw)
		if got != want || (err != nil) != (want == address{}) {
			t.Errorf("%s is read as %+v, %v, want %+v", raw, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: the error tells the password: %v", raw, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("ssh://git@git.example.com:2222/acme/c.git")
	f.Add("git@[2001:db8::1]:acme/config.git")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err == nil && a.host == "" {
			t.Fatalf("%q is taken without a host: %+v", raw, a)
		}
	})
}

func FuzzReadToken(f *testing.F) {
	f.Add(201, []byte(`{"token":"ghs_x","expires_at":"2026-11-25T22:00:00Z"}`))
	f.Add(401, []byte(`{"message":"A JSON web token could not be decoded"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		token, expires, err := readToken(status, body)
		if (err == nil) != (token != "" && !expires.IsZero()) {
			t.Fatalf("got %q, %v, %v", token, expires, err)
		}
	})
}
