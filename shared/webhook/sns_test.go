package webhook_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

const (
	topic     = "arn:aws:sns:eu-central-1:123456789012:images"
	certURL   = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem"
	issuerURL = "http://crt.r2m01.amazontrust.com/r2m01.cer"
	confirm   = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=2336"
)

// amazon stands for Amazon's hosts: it signs as SNS does, and notes what is
// asked of it. Its last certificate hangs on an intermediate that lies
// elsewhere, as Amazon's do.
type amazon struct {
	roots   *x509.CertPool
	key     *rsa.PrivateKey
	mu      sync.Mutex
	answers map[string]response
	asked   []string
}

type response struct {
	status int
	body   []byte
	header http.Header
	err    error
}

func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.URL.String())
	answer, ok := a.answers[r.URL.String()]
	if !ok {
		answer.status = http.StatusNotFound
	}
	if answer.err != nil {
		return nil, answer.err
	}
	h := answer.header
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: answer.status, Header: h, Body: io.NopCloser(strings.NewReader(string(answer.body))), Request: r}, nil
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate, valid for the day around now.
func issue(t *testing.T, name string, ca bool, key *rsa.PrivateKey, by *x509.Certificate, byKey *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-12 * time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		IsCA: ca, BasicConstraintsValid: true,
	}
	if !ca {
		template.DNSNames = []string{name}
		template.IssuingCertificateURL = []string{"http://169.254.169.254/x.cer", issuerURL}
	}
	if by == nil {
		by = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func newAmazon(t *testing.T, name string) *amazon {
	t.Helper()
	rootKey, middleKey := newKey(t), newKey(t)
	root := issue(t, "Amazon Root CA 1", true, rootKey, nil, rootKey)
	middle := issue(t, "Amazon RSA 2048 M01", true, middleKey, root, rootKey)
	a := &amazon{roots: x509.NewCertPool(), key: newKey(t)}
	a.roots.AddCert(root)
	leaf := issue(t, name, false, a.key, middle, middleKey)
	a.answers = map[string]response{
		certURL:   {status: 200, body: pemOf(leaf)},
		issuerURL: {status: 200, body: middle.Raw},
		confirm:   {status: 200, body: []byte("<ConfirmSubscriptionResponse/>")},
	}
	return a
}

// envelope is a signed delivery with some members changed before it is signed.
func (a *amazon) envelope(t *testing.T, changes map[string]string) map[string]string {
	t.Helper()
	e := map[string]string{
		"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": topic, "Subject": "hello",
		"Message": `{"a":1}`, "Timestamp": webhook.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "2", "SigningCertURL": certURL,
		"UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
	}
	maps.Copy(e, changes)
	maps.DeleteFunc(e, func(_, v string) bool { return v == "" })
	a.sign(t, e)
	return e
}

// sign follows AWS's page, not our code.
func (a *amazon) sign(t *testing.T, e map[string]string) {
	t.Helper()
	order := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if e["Type"] != "Notification" {
		order = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var text string
	for _, name := range order {
		if value, ok := e[name]; ok {
			text += name + "\n" + value + "\n"
		}
	}
	hash, sum := crypto.SHA256, sha256.Sum256([]byte(text))
	digest := sum[:]
	if e["SignatureVersion"] == "1" {
		weak := sha1.Sum([]byte(text))
		hash, digest = crypto.SHA1, weak[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	e["Signature"] = base64.StdEncoding.EncodeToString(signature)
}

func request(t *testing.T, e map[string]string) webhook.Request {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Request{Header: http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}, Body: body}
}

var snsSource = webhook.Source{Name: "sns", Config: service.Source{Topics: []string{"arn:aws:sns:eu-central-1:123456789012:other", topic}}}

func TestSNSEnvelopesAreProved(t *testing.T) {
	a := newAmazon(t, "sns.amazonaws.com")
	sns := webhook.NewSNS(a, a.roots)
	for name, changes := range map[string]map[string]string{
		"version 2":         {},
		"version 1":         {"SignatureVersion": "1"},
		"without a subject": {"Subject": ""},
		"half an hour old":  {"Timestamp": time.Now().UTC().Add(-30 * time.Minute).Format(time.RFC3339)},
		"that ended":        {"Type": "UnsubscribeConfirmation", "Subject": "", "Token": "2336", "SubscribeURL": confirm},
	} {
		t.Run(name, func(t *testing.T) {
			if err := sns.Prove(t.Context(), request(t, a.envelope(t, changes)), snsSource); err != nil {
				t.Error(err)
			}
		})
	}
	// The certificate and the one above are asked for once; no link is visited.
	if len(a.asked) != 2 || a.asked[0] != certURL || a.asked[1] != issuerURL {
		t.Errorf("asked %q", a.asked)
	}
}

// WEBHOOKS.md Z 1, 3, 13 and 24.
func TestSNSEnvelopesThatProveNothing(t *testing.T) {
	evil := newAmazon(t, "sns.amazonaws.com")
	for name, c := range map[string]struct {
		before map[string]string // it is signed
		after  map[string]string // it was
		want   error
		asks   bool
	}{
		"another topic":            {before: map[string]string{"TopicArn": topic + "2"}, want: webhook.ErrForbidden},
		"no topic":                 {before: map[string]string{"TopicArn": ""}, want: webhook.ErrForbidden},
		"another message":          {after: map[string]string{"Message": `{"a":2}`}, want: webhook.ErrProof, asks: true},
		"another subject":          {after: map[string]string{"Subject": "x"}, want: webhook.ErrProof, asks: true},
		"a type of no signature":   {after: map[string]string{"Type": "Other"}, want: webhook.ErrProof},
		"version 3":                {after: map[string]string{"SignatureVersion": "3"}, want: webhook.ErrProof},
		"a version that isn't its": {after: map[string]string{"SignatureVersion": "1"}, want: webhook.ErrProof, asks: true},
		"no signature":             {after: map[string]string{"Signature": ""}, want: webhook.ErrProof, asks: true},
		"no base64":                {after: map[string]string{"Signature": "***"}, want: webhook.ErrProof},
		"two hours old":            {before: map[string]string{"Timestamp": time.Now().Add(-2 * time.Hour).Format(time.RFC3339)}, want: webhook.ErrProof},
		"of tomorrow":              {before: map[string]string{"Timestamp": time.Now().Add(24 * time.Hour).Format(time.RFC3339)}, want: webhook.ErrProof},
		"of no time":               {before: map[string]string{"Timestamp": "now"}, want: webhook.ErrProof},
		"http":                     {before: map[string]string{"SigningCertURL": strings.Replace(certURL, "https", "http", 1)}, want: webhook.ErrForbidden},
		"a host that begins so":    {before: map[string]string{"SigningCertURL": "https://sns.us-west-2.amazonaws.com.evil.example/x.pem"}, want: webhook.ErrForbidden},
		"a host behind a user":     {before: map[string]string{"SigningCertURL": "https://sns.us-west-2.amazonaws.com@evil.example/x.pem"}, want: webhook.ErrForbidden},
		"a user":                   {before: map[string]string{"SigningCertURL": "https://x@sns.us-west-2.amazonaws.com/x.pem"}, want: webhook.ErrForbidden},
		"a port":                   {before: map[string]string{"SigningCertURL": "https://sns.us-west-2.amazonaws.com:8443/x.pem"}, want: webhook.ErrForbidden},
		"another service":          {before: map[string]string{"SigningCertURL": "https://bucket.s3.amazonaws.com/x.pem"}, want: webhook.ErrForbidden},
		"the inner network":        {before: map[string]string{"SigningCertURL": "http://169.254.169.254/x.pem"}, want: webhook.ErrForbidden},
		"no certificate's file":    {before: map[string]string{"SigningCertURL": "https://sns.us-west-2.amazonaws.com/x"}, want: webhook.ErrForbidden},
		"no file there":            {before: map[string]string{"SigningCertURL": "https://sns.us-west-2.amazonaws.com/x.pem"}, want: webhook.ErrProof, asks: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAmazonOf(t, evil)
			e := a.envelope(t, c.before)
			maps.Copy(e, c.after)
			if err := webhook.NewSNS(a, a.roots).Prove(t.Context(), request(t, e), snsSource); !errors.Is(err, c.want) {
				t.Errorf("gives %v, want %v", err, c.want)
			}
			if c.asks != (len(a.asked) > 0) {
				t.Errorf("asked %q", a.asked)
			}
		})
	}
	for _, body := range []string{"", "null", "[]", "{}", `{"Type":1}`, "\xff"} {
		err := webhook.NewSNS(evil, evil.roots).Prove(t.Context(), webhook.Request{Header: http.Header{}, Body: []byte(body)}, snsSource)
		if !errors.Is(err, webhook.ErrProof) && !errors.Is(err, webhook.ErrForbidden) {
			t.Errorf("%q gives %v", body, err)
		}
	}
	strict := snsSource
	strict.Config.Signature = "v2"
	if err := webhook.NewSNS(evil, evil.roots).Prove(t.Context(), request(t, evil.envelope(t, map[string]string{"SignatureVersion": "1"})), strict); !errors.Is(err, webhook.ErrProof) {
		t.Errorf("version 1 where 2 is demanded gives %v", err)
	}
}

// newAmazonOf is one with the same keys that was not asked yet.
func newAmazonOf(t *testing.T, a *amazon) *amazon {
	t.Helper()
	return &amazon{roots: a.roots, key: a.key, answers: maps.Clone(a.answers)}
}

func TestSNSCertificatesThatAreNotAmazons(t *testing.T) {
	a := newAmazon(t, "sns.amazonaws.com")
	e := request(t, a.envelope(t, nil))
	for name, c := range map[string]struct {
		change func(*amazon)
		proof  bool // else it is 503
	}{
		"of nobody's root": {func(a *amazon) { a.roots = x509.NewCertPool() }, true},
		"of another name":  {func(a *amazon) { b := newAmazon(t, "evil.example"); a.roots, a.answers = b.roots, b.answers }, true},
		"signed by itself": {func(a *amazon) {
			a.answers[certURL] = response{status: 200, body: pemOf(issue(t, "sns.amazonaws.com", false, a.key, nil, a.key))}
		}, true},
		"no certificate": {func(a *amazon) { a.answers[certURL] = response{status: 200, body: []byte("hello")} }, true},
		"a broken one": {func(a *amazon) {
			a.answers[certURL] = response{status: 200, body: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})}
		}, true},
		"an address that leads": {func(a *amazon) {
			a.answers[certURL] = response{status: 302, header: http.Header{"Location": {"https://evil.example/x.pem"}}}
		}, true},
		"a host that fails":      {func(a *amazon) { a.answers[certURL] = response{status: 500} }, false},
		"a host that is away":    {func(a *amazon) { a.answers[certURL] = response{err: errors.New("no route")} }, false},
		"an issuer that is away": {func(a *amazon) { a.answers[issuerURL] = response{err: errors.New("no route")} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAmazonOf(t, a)
			c.change(a)
			err := webhook.NewSNS(a, a.roots).Prove(t.Context(), e, snsSource)
			if err == nil || errors.Is(err, webhook.ErrProof) != c.proof || errors.Is(err, webhook.ErrForbidden) {
				t.Errorf("gives %v", err)
			}
			for _, address := range a.asked {
				if address != certURL && address != issuerURL {
					t.Errorf("asked %s", address)
				}
			}
		})
	}
}

func TestOneCertificateOfSNSThatHasExpired(t *testing.T) {
	a := newAmazon(t, "sns.eu-central-1.amazonaws.com")
	sns := webhook.NewSNS(a, a.roots)
	if err := sns.Prove(t.Context(), request(t, a.envelope(t, nil)), snsSource); err != nil {
		t.Fatal(err)
	}
	real := webhook.Now
	webhook.Now = func() time.Time { return real().Add(24 * time.Hour) }
	t.Cleanup(func() { webhook.Now = real })
	if err := sns.Prove(t.Context(), request(t, a.envelope(t, nil)), snsSource); !errors.Is(err, webhook.ErrProof) {
		t.Errorf("gives %v", err)
	}
}

// A subscription is confirmed once it is proved, on Amazon's hosts alone.
func TestSNSSubscriptionsAreConfirmed(t *testing.T) {
	subscription := map[string]string{"Type": "SubscriptionConfirmation", "Subject": "", "Token": "2336", "SubscribeURL": confirm}
	with := func(more map[string]string) map[string]string {
		m := maps.Clone(subscription)
		maps.Copy(m, more)
		return m
	}
	base := newAmazon(t, "sns.amazonaws.com")
	for name, c := range map[string]struct {
		before, after map[string]string
		answer        *response
		want          error
		visits        bool
		unavailable   bool
	}{
		"rightly":            {before: subscription, visits: true},
		"unsigned":           {before: subscription, after: map[string]string{"Token": "x"}, want: webhook.ErrProof},
		"of another topic":   {before: with(map[string]string{"TopicArn": topic + "2"}), want: webhook.ErrForbidden},
		"on another host":    {before: with(map[string]string{"SubscribeURL": "https://sns.us-west-2.amazonaws.com.evil.example/"}), want: webhook.ErrForbidden},
		"in the network":     {before: with(map[string]string{"SubscribeURL": "http://169.254.169.254/"}), want: webhook.ErrForbidden},
		"while Amazon fails": {before: subscription, answer: &response{status: 503}, visits: true, unavailable: true},
		"where a link leads": {before: subscription, answer: &response{status: 302, header: http.Header{"Location": {"http://169.254.169.254/"}}}, want: webhook.ErrProof, visits: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAmazonOf(t, base)
			if c.answer != nil {
				a.answers[confirm] = *c.answer
			}
			e := a.envelope(t, c.before)
			maps.Copy(e, c.after)
			err := webhook.NewSNS(a, a.roots).Prove(t.Context(), request(t, e), snsSource)
			unavailable := err != nil && !errors.Is(err, webhook.ErrProof) && !errors.Is(err, webhook.ErrForbidden)
			if unavailable != c.unavailable || (!unavailable && !errors.Is(err, c.want)) {
				t.Errorf("gives %v", err)
			}
			visited := false
			for _, address := range a.asked {
				visited = visited || address == confirm
				if address != confirm && address != certURL && address != issuerURL {
					t.Errorf("asked %s", address)
				}
			}
			if visited != c.visits {
				t.Errorf("asked %q", a.asked)
			}
		})
	}
}

func TestRawDeliveryOfSNSNeedsAnotherSecret(t *testing.T) {
	sns := webhook.NewSNS(&amazon{}, nil)
	for name, c := range map[string]struct {
		secrets []string
		header  http.Header
		token   bool
		want    error
	}{
		"with none":             {nil, http.Header{"X-Amz-Sns-Topic-Arn": {topic}}, false, webhook.ErrProof},
		"in the path":           {[]string{"sesame"}, http.Header{"X-Amz-Sns-Topic-Arn": {topic}}, true, nil},
		"as password":           {[]string{"sesame"}, http.Header{"X-Amz-Sns-Topic-Arn": {topic}, "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("sns:sesame"))}}, false, nil},
		"that is wrong":         {[]string{"sesame"}, http.Header{"X-Amz-Sns-Topic-Arn": {topic}, "Authorization": {"Bearer guessed"}}, false, webhook.ErrProof},
		"that isn't there":      {[]string{"sesame"}, http.Header{"X-Amz-Sns-Topic-Arn": {topic}}, false, webhook.ErrProof},
		"but for another topic": {[]string{"sesame"}, http.Header{"X-Amz-Sns-Topic-Arn": {topic + "2"}}, true, webhook.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s := snsSource
			s.Secrets = c.secrets
			c.header.Set("X-Amz-Sns-Rawdelivery", "true")
			if err := sns.Prove(t.Context(), webhook.Request{Header: c.header, TokenFits: c.token, Body: []byte(`{}`)}, s); !errors.Is(err, c.want) {
				t.Errorf("gives %v, want %v", err, c.want)
			}
		})
	}
}

func TestASourceOfSNSListsItsTopics(t *testing.T) {
	for name, c := range map[string]struct {
		source service.Source
		ok     bool
	}{
		"topics":            {service.Source{Topics: []string{topic}}, true},
		"none":              {service.Source{}, false},
		"none, insecure":    {service.Source{Insecure: true}, true},
		"version 2 alone":   {service.Source{Topics: []string{topic}, Signature: "v2"}, true},
		"another signature": {service.Source{Topics: []string{topic}, Signature: "hmac"}, false},
	} {
		if err := webhook.CheckSNS(c.source); (err == nil) != c.ok {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestSNSMessagesAreRead(t *testing.T) {
	a := newAmazon(t, "sns.amazonaws.com")
	for name, c := range map[string]struct {
		request webhook.Request
		source  webhook.Source
		read    string
		status  int
		ignored bool
	}{
		"a message":                  {request(t, a.envelope(t, nil)), snsSource, `{"a":1}`, 0, false},
		"a message in words":         {request(t, a.envelope(t, map[string]string{"Message": "Hello world!"})), snsSource, "", 0, true},
		"a subscription":             {request(t, a.envelope(t, map[string]string{"Type": "SubscriptionConfirmation"})), snsSource, "", 200, false},
		"a subscription, not proved": {request(t, a.envelope(t, map[string]string{"Type": "SubscriptionConfirmation"})), webhook.Source{Config: service.Source{Insecure: true}}, "", 0, true},
		"an end":                     {request(t, a.envelope(t, map[string]string{"Type": "UnsubscribeConfirmation"})), snsSource, "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			read := ""
			d, err := webhook.ParseSNS(c.request, c.source, func(m []byte, _ *webhook.Delivery) error {
				read = string(m)
				return nil
			})
			status := 0
			if d.Reply != nil {
				status = d.Reply.Status
			}
			if err != nil || read != c.read || status != c.status || (len(d.Ignored) > 0) != c.ignored || d.ID == "" {
				t.Errorf("read %q, reply %d, ignored %q, id %q, error %v", read, status, d.Ignored, d.ID, err)
			}
		})
	}
}
