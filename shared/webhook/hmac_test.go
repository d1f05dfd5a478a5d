package webhook_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

func TestASignatureOfTheConfigIsReadOrItsFaultTold(t *testing.T) {
	for _, c := range []struct{ signature, header, fault string }{
		{"hmac-sha256", "X-Signature", ""},
		{"hmac-sha1 prefix=sha1=", "X-Signature", ""},
		{"  hmac-sha512   encoding=base64  prefix=v1, ", "X-Signature", `"prefix=v1," is neither`},
		{"hmac-sha512 encoding=base64 prefix=v1=", "X-Signature", ""},
		{"", "X-Signature", `"" is none of hmac-sha256`},
		{"HMAC-SHA256", "X-Signature", `"HMAC-SHA256" is none of`},
		{"hmac-md5", "X-Signature", "is none of"},
		{"hmac-sha256", "", "needs header"},
		{"hmac-sha256", "X Signature", `"X Signature" is none`},
		{"hmac-sha256 prefix=", "X-Signature", `"prefix=" is neither`},
		{"hmac-sha256 prefix=a prefix=b", "X-Signature", "prefix is there twice"},
		{"hmac-sha256 encoding=base32", "X-Signature", `"encoding=base32" is neither`},
		{"hmac-sha256 header=X", "X-Signature", `"header=X" is neither`},
	} {
		_, err := webhook.ParseHMAC(c.signature, c.header)
		if (err == nil) != (c.fault == "") || (err != nil && !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%q in %q gives %v, want %q", c.signature, c.header, err, c.fault)
		}
	}
}

func TestASignatureOfTheConfigTakesOnlyTheExactHeader(t *testing.T) {
	sum, err := hex.DecodeString(vectorSum)
	if err != nil {
		t.Fatal(err)
	}
	in64 := base64.StdEncoding.EncodeToString(sum)
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		name, signature string
		values          []string
		ok              bool
	}{
		{"bare", "hmac-sha256", []string{vectorSum}, true},
		{"bare, with another behind", "hmac-sha256", []string{vectorSum + "," + vectorSum}, false},
		{"behind its prefix", "hmac-sha256 prefix=v1=", []string{"v1=" + vectorSum}, true},
		{"in a list", "hmac-sha256 prefix=v1=", []string{"v0=" + other + ",v1=" + vectorSum + ", v2=x"}, true},
		{"in a list, twice", "hmac-sha256 prefix=v1=", []string{"v1=" + vectorSum + ",v1=" + vectorSum}, false},
		{"in a list, twice, of which one is wrong", "hmac-sha256 prefix=v1=", []string{"v1=" + other + ",v1=" + vectorSum}, false},
		{"of another version alone", "hmac-sha256 prefix=v1=", []string{"v2=" + vectorSum}, false},
		{"without its prefix", "hmac-sha256 prefix=v1=", []string{vectorSum}, false},
		{"in base64", "hmac-sha256 encoding=base64", []string{in64}, true},
		{"in base64 without its padding", "hmac-sha256 encoding=base64", []string{strings.TrimRight(in64, "=")}, false},
		{"in base64 with a line feed", "hmac-sha256 encoding=base64", []string{in64[:20] + "\n" + in64[20:]}, false},
		{"hex for base64", "hmac-sha256 encoding=base64", []string{vectorSum}, false},
		{"base64 for hex", "hmac-sha256", []string{in64}, false},
		{"of another algorithm", "hmac-sha512", []string{vectorSum}, false},
		{"in capitals", "hmac-sha256", []string{strings.ToUpper(vectorSum)}, false},
		{"twice", "hmac-sha256", []string{vectorSum, vectorSum}, false},
		{"missing", "hmac-sha256", nil, false},
		{"empty", "hmac-sha256", []string{""}, false},
		{"the prefix alone", "hmac-sha256 prefix=v1=", []string{"v1="}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := webhook.ParseHMAC(c.signature, "x-signature")
			if err != nil {
				t.Fatal(err)
			}
			err = m.Verify(http.Header{"X-Signature": c.values}, []byte(vectorBody), []string{"another", vectorSecret})
			if (err == nil) != c.ok || (err != nil && !errors.Is(err, webhook.ErrProof)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatIsSignedIsVerifiedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		signature := rapid.SampledFrom([]string{"hmac-sha1", "hmac-sha256", "hmac-sha512"}).Draw(t, "algorithm") +
			rapid.SampledFrom([]string{"", " prefix=v1="}).Draw(t, "prefix") + rapid.SampledFrom([]string{"", " encoding=base64"}).Draw(t, "encoding")
		m, err := webhook.ParseHMAC(signature, "X-Signature")
		if err != nil {
			t.Fatal(err)
		}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		secret := rapid.StringN(1, 80, -1).Draw(t, "secret")
		h := http.Header{}
		m.Sign(h, body, secret)
		if err := m.Verify(h, body, []string{secret}); err != nil {
			t.Fatalf("%s: %v", signature, err)
		}
		if m.Verify(h, append(body, 'x'), []string{secret}) == nil || m.Verify(h, body, []string{secret + "x"}) == nil {
			t.Fatalf("%s: another body or secret fits", signature)
		}
	})
}

func TestASecretGoesIntoTheAddressOnce(t *testing.T) {
	for _, c := range []struct{ address, secret, want string }{
		{"https://h.example/hooks/quay", "s3cret", "https://h.example/hooks/quay/s3cret"},
		{"https://h.example/hooks/quay/", "s3cret", "https://h.example/hooks/quay/s3cret"},
		{"https://h.example/hooks/quay?a=b", "s3cret", "https://h.example/hooks/quay/s3cret?a=b"},
		{"https://h.example/hooks/quay", "a b/c%?", "https://h.example/hooks/quay/a%20b%2Fc%25%3F"},
		{"https://h.example/hooks/quay/another", "s3cret", "https://h.example/hooks/quay/another"},
		{"https://h.example/slipway/hooks/quay", "s3cret", "https://h.example/slipway/hooks/quay/s3cret"},
		{"https://h.example/behind-a-proxy", "s3cret", "https://h.example/behind-a-proxy/s3cret"},
		{"https://h.example/behind-a-proxy/a%20b", "a b", "https://h.example/behind-a-proxy/a%20b"},
	} {
		u, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if webhook.SignPath(u, c.secret); u.String() != c.want {
			t.Errorf("%s with %q gives %s, want %s", c.address, c.secret, u, c.want)
		}
	}
	for address, want := range map[string]string{
		"https://h.example/hooks/grid":        "https://h.example/hooks/grid?code=a+b%26c",
		"https://h.example/hooks/grid?code=x": "https://h.example/hooks/grid?code=x",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if webhook.SignQuery("code")(u, "a b&c"); u.String() != want {
			t.Errorf("%s gives %s, want %s", address, u, want)
		}
	}
}

func TestARequestIsSignedAsTheSourcesConfigHasIt(t *testing.T) {
	fixed := webhook.SignFixed("X-Own", "")
	for _, c := range []struct {
		name          string
		provider      webhook.Provider
		source        service.Source
		header, fault string
	}{
		{"its own header", webhook.Provider{Sign: fixed}, service.Source{}, "X-Own", ""},
		{"a header of the config", webhook.Provider{Sign: fixed, SignBy: webhook.SignHeader}, service.Source{Header: "X-Mine"}, "X-Mine", ""},
		{"none of the config", webhook.Provider{Sign: fixed, SignBy: webhook.SignHeader}, service.Source{}, "X-Own", ""},
		{"a header where none is taken", webhook.Provider{Name: "p", Sign: fixed}, service.Source{Header: "X-Mine"}, "", "provider p takes no header"},
		{"a signature where none is taken", webhook.Provider{Name: "p", Sign: fixed}, service.Source{Signature: "hmac"}, "", "provider p takes no signature"},
		{"nothing", webhook.Provider{Name: "p"}, service.Source{}, "", "provider p has none"},
		{"SNS without a topic", webhook.Provider{SignBy: webhook.SignSNS}, service.Source{}, "", "X-Amz-Sns-Topic-Arn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://h.example/hooks/x", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			err = c.provider.SignRequest(r, nil, c.source, "s3cret", time.Now())
			if c.fault != "" {
				if !errors.Is(err, webhook.ErrCannotSign) || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("gives %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil || len(r.Header) != 1 || r.Header.Get(c.header) != "s3cret" {
				t.Errorf("gives %v, %v", r.Header, err)
			}
		})
	}
}
