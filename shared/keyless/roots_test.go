package keyless_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/keyless"
)

var who = []api.Identity{{Issuer: actions, Subject: workflow}}

func TestRootsThatCantBeReadSayWhere(t *testing.T) {
	v := sigstore(t)
	good := string(rootsOf(t, v, parts{}))
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "r.json:1: it is not a JSON object"},
		"a key":          {"-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----\n", "r.json:1: it is not a JSON object"},
		"cut":            {"{\n\n\"mediaType\": \"x\",", "r.json:3: it is not a JSON object"},
		"a list":         {"\n[]", "r.json:2: it is not a JSON object"},
		"two documents":  {good + "\n" + good, "more than one document"},
		"unknown field":  {"{\n\"mediaType\": \"application/vnd.dev.sigstore.trustedroot+json;version=0.1\",\n\"roots\": []}", "r.json:3: unknown field"},
		"nothing in it":  {`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`, "certificateAuthorities"},
		"another type":   {strings.Replace(good, "trustedroot+json;version=0.1", "trustedroot+json;version=9", 1), "trusted root"},
		"no certificate": {`{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{}]}`, "trusted root"},
		"no time":        {string(rootsOf(t, v, parts{noLogs: true, noStamps: true})), "neither tlogs nor timestampAuthorities"},
		"too large":      {strings.Repeat(" ", 1<<20) + good, "more than 1048576"},
	} {
		_, err := keyless.New("r.json", []byte(c.text), who)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: it tells what is in the file: %v", name, err)
		}
	}
	if _, err := keyless.New("r.json", []byte(good), nil); err == nil {
		t.Error("without identities: no error")
	}
}

// What was verified by one trust must not count for another.
func TestATrustsIDIsOfItsRootsAndIdentities(t *testing.T) {
	one, two := rootsOf(t, sigstore(t), parts{}), rootsOf(t, sigstore(t), parts{})
	seen := map[string]bool{}
	for _, roots := range [][]byte{one, two} {
		for _, ids := range [][]api.Identity{who, {{Issuer: actions, SubjectRegExp: workflow}}, {{IssuerRegExp: actions, Subject: workflow}}} {
			id := trust(t, roots, ids...).ID()
			if seen[id] || id != trust(t, roots, ids...).ID() {
				t.Errorf("%s is not one trust's", id)
			}
			seen[id] = true
		}
	}
}
