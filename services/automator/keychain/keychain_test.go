package keychain_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-cd/slipway/services/automator/keychain"
)

// TestMain lets a test sign in within a process of its own, whose environment
// says whom to trust and where clouds are: the libraries read it once.
func TestMain(m *testing.M) {
	name, host, child := strings.Cut(os.Getenv("KEYCHAIN_TEST"), " ")
	if !child {
		os.Exit(m.Run())
	}
	var out signedIn
	source, err := keychain.Source(name, host)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		out.Config, out.Until, err = source(ctx)
	}
	if err != nil {
		out.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
}

type signedIn struct {
	Config authn.AuthConfig
	Until  time.Time
	Error  string
}

// signIn signs in with nothing in the environment but what is given.
func signIn(t *testing.T, cloud, host string, env ...string) signedIn {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // it is this test
	cmd.Env = append(env, "KEYCHAIN_TEST="+cloud+" "+host, "HOME="+t.TempDir(), "PATH="+os.Getenv("PATH"))
	text, err := cmd.Output()
	var out signedIn
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

// refuse answers as a cloud does to what isn't documented.
func refuse(w http.ResponseWriter, format string, args ...any) {
	http.Error(w, fmt.Sprintf(format, args...), http.StatusBadRequest)
}

const (
	account  = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	inChina  = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
	gallery  = "public.ecr.aws"
	ecrToken = "QVdTOmh1bnRlcjI=" // AWS:hunter2
)

// amazon is the API of ECR as documented: GetAuthorizationToken by JSON 1.1,
// signed with version 4 for the region and service.
func amazon(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := r.Header.Get("X-Amz-Target")
		signed := r.Header.Get("Authorization")
		body, _ := io.ReadAll(r.Body)
		ends := float64(time.Now().Add(12*time.Hour).UnixMilli()) / 1000
		data := fmt.Sprintf(`{"authorizationToken":%q,"expiresAt":%f,"proxyEndpoint":"https://%s"}`, ecrToken, ends, account)
		region, service, answer := "eu-west-1", "ecr", `{"authorizationData":[`+data+`]}`
		switch {
		case target == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken":
			if strings.Contains(signed, "/cn-north-1/") {
				region = "cn-north-1"
			}
		case target == "SpencerFrontendService.GetAuthorizationToken":
			region, service, answer = "us-east-1", "ecr-public", `{"authorizationData":`+data+`}`
		default:
			refuse(w, "target %q", target)
			return
		}
		scope := "Credential=AKIDEXAMPLE/" + time.Now().UTC().Format("20060102") + "/" + region + "/" + service + "/aws4_request"
		if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || !json.Valid(body) {
			refuse(w, "%s %s %v %s", r.Method, r.URL, r.Header, body)
		} else if !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 ") || !strings.Contains(signed, scope) || !strings.Contains(signed, "x-amz-target") || r.Header.Get("X-Amz-Security-Token") != "session" {
			refuse(w, "signed %s, want %s", signed, scope)
		} else {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, answer)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestARegistryOfAmazonsIsSignedInto(t *testing.T) {
	api := amazon(t)
	env := []string{"AWS_ENDPOINT_URL_ECR=" + api, "AWS_ENDPOINT_URL_ECR_PUBLIC=" + api, "AWS_EC2_METADATA_DISABLED=true"}
	keys := []string{"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=wJalr", "AWS_SESSION_TOKEN=session"}
	for _, host := range []string{account, inChina, gallery} {
		got := signIn(t, "ecr", host, append(env, keys...)...)
		if got.Error != "" || got.Config.Username != "AWS" || got.Config.Password != "hunter2" {
			t.Errorf("%s: %+v", host, got)
		}
		if left := time.Until(got.Until); left < 10*time.Hour || left > 11*time.Hour {
			t.Errorf("%s: it is renewed in %s, of 12 hours", host, left)
		}
	}
	if got := signIn(t, "ecr", account, env...); !strings.Contains(got.Error, "sign in to ECR: ") || got.Config != (authn.AuthConfig{}) {
		t.Errorf("without an identity: %+v", got)
	}
	if got := signIn(t, "ecr", account, append(env, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=s3cret")...); got.Error == "" || strings.Contains(got.Error, "s3cret") {
		t.Errorf("refused: %+v", got)
	}
}

// googles are the token endpoint for an account's key, which verifies the signed
// assertion (RFC 7523), and the metadata server of a machine.
func googles(t *testing.T, key *rsa.PublicKey) string {
	t.Helper()
	s := httptest.NewServer(nil)
	t.Cleanup(s.Close)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/token":
			if err := assertion(r, key, s.URL+"/token"); err != nil {
				refuse(w, "%v", err)
				return
			}
			_, _ = io.WriteString(w, `{"access_token":"ya29.account","expires_in":3600,"token_type":"Bearer"}`)
		case "/computeMetadata/v1/instance/service-accounts/default/token":
			if r.Header.Get("Metadata-Flavor") != "Google" || r.Method != http.MethodGet || !strings.Contains(r.FormValue("scopes"), "cloud-platform") {
				refuse(w, "%s %v", r.URL, r.Header)
				return
			}
			_, _ = io.WriteString(w, `{"access_token":"ya29.machine","expires_in":1800,"token_type":"Bearer"}`)
		case "/computeMetadata/v1/universe/universe-domain", "/computeMetadata/v1/universe/universe_domain":
			_, _ = io.WriteString(w, "googleapis.com")
		default:
			http.NotFound(w, r)
		}
	})
	return s.URL
}

func assertion(r *http.Request, key *rsa.PublicKey, audience string) error {
	if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.Method != http.MethodPost {
		return fmt.Errorf("grant %q", r.FormValue("grant_type"))
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	var claims struct{ Iss, Scope, Aud string }
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return err
	}
	if claims.Iss != "slipway@acme.iam.gserviceaccount.com" || claims.Aud != audience || claims.Scope != "https://www.googleapis.com/auth/cloud-platform" {
		return fmt.Errorf("claims %+v", claims)
	}
	return nil
}

func TestARegistryOfGooglesIsSignedInto(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	api := googles(t, &key.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "slipway@acme.iam.gserviceaccount.com", "private_key_id": "1", "token_uri": api + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	file := filepath.Join(t.TempDir(), "account.json")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env, password string
		least, most   time.Duration
	}{
		"an account's key": {"GOOGLE_APPLICATION_CREDENTIALS=" + file, "ya29.account", 50 * time.Minute, 55 * time.Minute},
		"the machine's":    {"GCE_METADATA_HOST=" + strings.TrimPrefix(api, "http://"), "ya29.machine", 25 * time.Minute, 28 * time.Minute},
	} {
		got := signIn(t, "gcr", "europe-docker.pkg.dev", c.env)
		if got.Error != "" || got.Config.Username != "oauth2accesstoken" || got.Config.Password != c.password {
			t.Errorf("%s: %+v", name, got)
		}
		if left := time.Until(got.Until); left < c.least || left > c.most {
			t.Errorf("%s: it is renewed in %s", name, left)
		}
	}
	if got := signIn(t, "gcr", "gcr.io", "GOOGLE_APPLICATION_CREDENTIALS=/nowhere.json"); !strings.Contains(got.Error, "sign in to Google: ") {
		t.Errorf("without an identity: %+v", got)
	}
}

// azure are Entra ID and a registry as documented, behind a proxy that leads
// every host to them.
func azure(t *testing.T, refresh string) (env []string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		form := func(want map[string]string) bool {
			for k, v := range want {
				if r.PostFormValue(k) != v {
					refuse(w, "%s is %q, want %q", k, r.PostFormValue(k), v)
					return false
				}
			}
			return r.Method == http.MethodPost
		}
		switch r.Host + r.URL.Path {
		case "login.microsoftonline.com/tenant/oauth2/token":
			if (r.PostFormValue("client_secret") != "hunter2") == (r.PostFormValue("client_assertion") != "workload") {
				http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			} else if form(map[string]string{"grant_type": "client_credentials", "client_id": "client", "resource": "https://management.azure.com/"}) {
				fmt.Fprintf(w, `{"access_token":"entra","expires_in":"3600","expires_on":"%d","not_before":"1","resource":"x","token_type":"Bearer"}`, time.Now().Add(time.Hour).Unix())
			}
		case "acme.azurecr.io/oauth2/exchange":
			if form(map[string]string{"grant_type": "access_token", "service": "acme.azurecr.io", "access_token": "entra", "tenant": "tenant"}) {
				fmt.Fprintf(w, `{"refresh_token":%q}`, refresh)
			}
		default:
			http.NotFound(w, r)
		}
	}))
	certificate, ca := certificateFor(t, "login.microsoftonline.com", "acme.azurecr.io")
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return []string{"HTTPS_PROXY=" + proxyTo(t, s.Listener.Addr().String()), "SSL_CERT_FILE=" + ca, "SSL_CERT_DIR=/nowhere"}
}

// proxyTo is a proxy that knows one address only.
func proxyTo(t *testing.T, address string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			refuse(w, "%s", r.Method)
			return
		}
		there, err := net.Dial("tcp", address)
		if err != nil {
			refuse(w, "%v", err)
			return
		}
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = bufio.NewReader(there).WriteTo(here); _ = here.Close() }()
		_, _ = buffered.WriteTo(there)
		_ = there.Close()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestARegistryOfAzuresIsSignedInto(t *testing.T) {
	ends := time.Now().Add(3 * time.Hour).Unix()
	refresh := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, ends)) + ".c2ln"
	env := append(azure(t, refresh), "AZURE_TENANT_ID=tenant", "AZURE_CLIENT_ID=client")
	workload := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(workload, []byte("workload"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]string{"a secret": "AZURE_CLIENT_SECRET=hunter2", "workload identity": "AZURE_FEDERATED_TOKEN_FILE=" + workload} {
		got := signIn(t, "acr", "acme.azurecr.io", append(env, with)...)
		if got.Error != "" || got.Config.IdentityToken != refresh {
			t.Errorf("%s: %+v", name, got)
		}
		if left := time.Until(got.Until); left < 150*time.Minute || left > 170*time.Minute {
			t.Errorf("%s: it is renewed in %s, of 3 hours", name, left)
		}
	}
	if got := signIn(t, "acr", "acme.azurecr.io", append(env, "AZURE_CLIENT_SECRET=wr0ng")...); !strings.Contains(got.Error, "sign in to Azure: ") || strings.Contains(got.Error, "wr0ng") {
		t.Errorf("refused: %+v", got)
	}
}

// A cloud's identity goes to that cloud only.
func TestOtherHostsAreRefused(t *testing.T) {
	for host, name := range map[string]string{
		"registry.example.com": "ecr", account + ".evil.example": "ecr", "gcr.io.evil.example": "gcr", "evilgcr.io": "gcr",
		"acme.azurecr.io.evil.example": "acr", "evil.example/acme.azurecr.io": "acr", "localhost:5000": "acr",
	} {
		if _, err := keychain.Source(name, host); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("%s at %s: %v", name, host, err)
		}
	}
	for host, name := range map[string]string{
		account: "ecr", inChina: "ecr", gallery: "ecr", "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "ecr", "123456789012.dkr-ecr.eu-west-1.on.aws": "ecr",
		"gcr.io": "gcr", "eu.gcr.io": "gcr", "europe-docker.pkg.dev": "gcr", "acme.azurecr.io": "acr", "acme.azurecr.cn": "acr",
	} {
		if _, err := keychain.Source(name, host); err != nil {
			t.Errorf("%s at %s: %v", name, host, err)
		}
	}
	if _, err := keychain.Source("aws", account); err == nil || !strings.Contains(err.Error(), "[acr ecr gcr]") {
		t.Errorf("an unknown cloud: %v", err)
	}
}
