package webhook_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// The test vector of GitHub's documentation, "Validating webhook deliveries".
const (
	vectorSecret = "It's a Secret to Everybody"
	vectorBody   = "Hello, World!"
	vectorSum    = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func TestHMACSHA256TakesOnlyTheExactHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		ok     bool
	}{
		{"the documented vector", []string{"sha256=" + vectorSum}, true},
		{"missing", nil, false},
		{"empty", []string{""}, false},
		{"only the prefix, as Gitea sends it without a secret", []string{"sha256="}, false},
		{"without its prefix", []string{vectorSum}, false},
		{"of a weaker algorithm", []string{"sha1=" + vectorSum}, false},
		{"of a stronger algorithm", []string{"sha512=" + vectorSum}, false},
		{"in capitals", []string{"sha256=" + strings.ToUpper(vectorSum)}, false},
		{"the prefix in capitals", []string{"SHA256=" + vectorSum}, false},
		{"an odd number of digits", []string{"sha256=" + vectorSum[1:]}, false},
		{"too short", []string{"sha256=" + vectorSum[2:]}, false},
		{"too long", []string{"sha256=" + vectorSum + "00"}, false},
		{"no hex", []string{"sha256=" + strings.Repeat("zz", 32)}, false},
		{"a blank behind", []string{"sha256=" + vectorSum + " "}, false},
		{"one bit off", []string{"sha256=" + vectorSum[:63] + "6"}, false},
		{"twice", []string{"sha256=" + vectorSum, "sha256=" + vectorSum}, false},
		{"twice, of which one is wrong", []string{"sha256=" + vectorSum, "sha256=" + strings.Repeat("0", 64)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"X-Hub-Signature-256": c.values, "X-Hub-Signature": {"sha256=" + vectorSum}}
			err := webhook.HMACSHA256(h, "X-Hub-Signature-256", "sha256=", []byte(vectorBody), []string{"another", vectorSecret})
			if (err == nil) != c.ok || (err != nil && !errors.Is(err, webhook.ErrProof)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHMACSHA256RefusesAnotherBodyAndAnotherSecret(t *testing.T) {
	h := http.Header{"X-Sum": {vectorSum}}
	check := func(body string, secrets ...string) error {
		return webhook.HMACSHA256(h, "X-Sum", "", []byte(body), secrets)
	}
	if err := check(vectorBody, vectorSecret); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"body": check(vectorBody+" ", vectorSecret), "secret": check(vectorBody, vectorSecret+" "), "no secret": check(vectorBody),
	} {
		if !errors.Is(err, webhook.ErrProof) {
			t.Errorf("another %s gives %v", name, err)
		}
	}
}

func TestAuthorizationTakesTheSecretPlainAsBearerOrAsPassword(t *testing.T) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name   string
		values []string
		ok     bool
	}{
		{"plain", []string{"s3cret"}, true},
		{"bearer", []string{"Bearer s3cret"}, true},
		{"bearer in small letters", []string{"bearer s3cret"}, true},
		{"password of anybody", []string{basic("registry:s3cret")}, true},
		{"password with no user", []string{basic(":s3cret")}, true},
		{"the second secret", []string{"Bearer older"}, true},
		{"missing", nil, false},
		{"empty", []string{""}, false},
		{"bearer alone", []string{"Bearer "}, false},
		{"another scheme", []string{"Token s3cret"}, false},
		{"in capitals", []string{"Bearer S3CRET"}, false},
		{"cut", []string{"Bearer s3cre"}, false},
		{"longer", []string{"Bearer s3cretx"}, false},
		{"the user, not the password", []string{basic("s3cret:x")}, false},
		{"base64 of nothing", []string{"Basic "}, false},
		{"no base64", []string{"Basic s3cret:x"}, false},
		{"twice", []string{"Bearer s3cret", "Bearer s3cret"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := webhook.Authorization(http.Header{"Authorization": c.values}, []string{"s3cret", "older"})
			if (err == nil) != c.ok || (err != nil && !errors.Is(err, webhook.ErrProof)) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestJSONTakesOneObjectInUTF8(t *testing.T) {
	for _, c := range []struct {
		name, body, says string
	}{
		{"an object", `{"a":"x"}`, ""},
		{"with blanks around", " \n{\"a\":\"x\"}\r\n", ""},
		{"of keys there twice the last counts", `{"a":"y","a":"x"}`, ""},
		{"a name in another case is another", `{"a":"x","A":"y"}`, ""},
		{"unknown fields are ignored", `{"a":"x","b":{"c":[1]}}`, ""},
		{"empty", "", "not a JSON object"},
		{"null", "null", "not a JSON object"},
		{"a list", `[{"a":"x"}]`, "not a JSON object"},
		{"a second object", `{"a":"x"}{}`, "after top-level value (byte 9)"},
		{"a brace too many", `{"a":"x"}}`, "after top-level value"},
		{"cut", `{"a":`, "ends in the middle (byte 5)"},
		{"a mark before", "\xef\xbb\xbf{}", "byte order mark"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "byte order mark"},
		{"UTF-16 without a mark", "{\x00}\x00", "invalid character"},
		{"not UTF-8", "{\"a\":\"\xe9\"}", "not UTF-8"},
		{"a number for a string", `{"a":7}`, "a must be a string, not a number (byte "},
		{"a number of 100,000 digits", `{"a":` + strings.Repeat("9", 100_000) + `}`, "a must be a string, not a number"},
		{"100,000 levels", `{"b":` + strings.Repeat("[", 100_000), "exceeded max depth"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var into struct {
				A string `json:"a"`
			}
			err := webhook.JSON([]byte(c.body), &into)
			switch {
			case c.says == "" && (err != nil || into.A != "x"):
				t.Errorf("got %+v, %v", into, err)
			case c.says != "" && (!errors.Is(err, webhook.ErrBody) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want one that says %q", err, c.says)
			case err != nil && len(err.Error()) > 200:
				t.Errorf("the error has %d bytes of the sender's", len(err.Error()))
			}
		})
	}
}

func TestMediaTypeIgnoresParametersAlone(t *testing.T) {
	for kind, ok := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON": true,
		"": false, "text/plain": false, "application/json, text/plain": false, "application/jsonp": false, "/": false, ";": false,
	} {
		_, err := webhook.MediaType(webhook.Request{Header: http.Header{"Content-Type": {kind}}}, "application/json")
		if (err == nil) != ok || (err != nil && !errors.Is(err, webhook.ErrContentType)) {
			t.Errorf("%q gives %v", kind, err)
		}
	}
}

func TestFormPayloadTakesExactlyOne(t *testing.T) {
	for form, want := range map[string]string{
		"payload=%7B%7D": "{}", "a=b&payload=x": "x", "payload=": "",
		"": "error", "a=b": "error", "payload=a&payload=b": "error", "payload=%zz": "error", "payload=a;b": "error",
	} {
		got, err := webhook.FormPayload([]byte(form))
		if err != nil {
			got = []byte("error")
		}
		if string(got) != want || (err != nil && !errors.Is(err, webhook.ErrBody)) {
			t.Errorf("%q gives %q, %v", form, got, err)
		}
	}
}
