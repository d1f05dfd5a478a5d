package webhook

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" // SNS signs by SHA-1 where a topic's SignatureVersion is 1
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
)

// SNS proves what Amazon SNS sends: by the RSA signature in the envelope, whose
// certificate lies on Amazon's own host, for the topics that a source lists.
// (Docs: "Verifying the signatures of Amazon SNS messages".)
type SNS struct {
	client *http.Client
	roots  *x509.CertPool

	mu    sync.Mutex
	certs map[string]*x509.Certificate // by address
}

// The times and sizes of what SNS lets us fetch. It sends again for an hour.
const (
	snsTimeout = 2 * time.Second
	snsLast    = time.Hour
	maxCert    = 64 << 10
)

// NewSNS calls Amazon through transport and trusts roots; nil are the
// machine's own.
func NewSNS(transport http.RoundTripper, roots *x509.CertPool) *SNS {
	return &SNS{roots: roots, certs: map[string]*x509.Certificate{}, client: &http.Client{
		Transport: transport, Timeout: snsTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// CheckSNS gives the faults of a source's config.
func CheckSNS(s service.Source) error {
	switch {
	case len(s.Topics) == 0 && !s.Insecure:
		return errors.New("topics: list the ARNs of the topics that may send")
	case s.Signature != "" && s.Signature != "v2":
		return fmt.Errorf("signature: %q is neither v2, which refuses SHA-1, nor left out", s.Signature)
	}
	return nil
}

// snsEnvelope is the body of a delivery that is not raw.
type snsEnvelope struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	SubscribeURL     string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

const (
	snsNotification = "Notification"
	snsSubscribe    = "SubscriptionConfirmation"
	snsUnsubscribe  = "UnsubscribeConfirmation"
)

// snsRaw says that the body is the message alone, without any signature.
func snsRaw(r Request) bool { return r.Header.Get("X-Amz-Sns-Rawdelivery") == "true" }

// Prove is a [Provider]'s. What is cheap comes first: nothing is fetched for
// another topic, host or hour. A subscription is confirmed here, since only
// what is proved may be.
func (v *SNS) Prove(ctx context.Context, r Request, s Source) error {
	if snsRaw(r) {
		return proveRawSNS(r, s)
	}
	var e snsEnvelope
	if err := JSON(r.Body, &e); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if !slices.Contains(s.Config.Topics, e.TopicARN) {
		return fmt.Errorf("%w: the topic is not one of the source's topics", ErrForbidden)
	}
	cert, err := amazonURL(e.SigningCertURL)
	if err != nil || !strings.HasSuffix(cert.Path, ".pem") {
		return fmt.Errorf("%w: SigningCertURL is not Amazon SNS's", ErrForbidden)
	}
	at, err := time.Parse(time.RFC3339, e.Timestamp)
	if err != nil {
		return fmt.Errorf("%w: Timestamp is no time", ErrProof)
	}
	if age := Now().Sub(at); age > snsLast || age < -tolerance {
		return fmt.Errorf("%w: Timestamp is %s", ErrProof, Apart(age))
	}
	if s.Config.Signature == "v2" && e.SignatureVersion != "2" {
		return fmt.Errorf("%w: SignatureVersion is not 2, as the source's config demands", ErrProof)
	}
	if err := v.verify(ctx, e, cert); err != nil {
		return err
	}
	if e.Type == snsSubscribe {
		return v.confirm(ctx, e.SubscribeURL)
	}
	return nil
}

// proveRawSNS proves a delivery that has no signature by another secret: in
// the path, or as password of the subscription's address.
func proveRawSNS(r Request, s Source) error {
	if len(s.Secrets) == 0 {
		return fmt.Errorf("%w: raw delivery has no signature, and the source has no secret", ErrProof)
	}
	if !r.TokenFits {
		if err := Authorization(r.Header, s.Secrets); err != nil {
			return err
		}
	}
	if !slices.Contains(s.Config.Topics, r.Header.Get("X-Amz-Sns-Topic-Arn")) {
		return fmt.Errorf("%w: the topic is not one of the source's topics", ErrForbidden)
	}
	return nil
}

var amazonHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// amazonURL takes addresses on SNS's own hosts, and nothing dressed up as one.
func amazonURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Opaque != "" || !amazonHost.MatchString(u.Host) {
		return nil, fmt.Errorf("%w: the address is not Amazon SNS's", ErrForbidden)
	}
	return u, nil
}

// verify holds the signature against the certificate.
func (v *SNS) verify(ctx context.Context, e snsEnvelope, address *url.URL) error {
	signed, err := e.signed()
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(e.Signature)
	if err != nil {
		return fmt.Errorf("%w: Signature is not base64", ErrProof)
	}
	var algorithm crypto.Hash
	var sum []byte
	switch e.SignatureVersion {
	case "1":
		s := sha1.Sum(signed)
		algorithm, sum = crypto.SHA1, s[:]
	case "2":
		s := sha256.Sum256(signed)
		algorithm, sum = crypto.SHA256, s[:]
	default:
		return fmt.Errorf("%w: SignatureVersion is neither 1 nor 2", ErrProof)
	}
	cert, err := v.certificate(ctx, address)
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || rsa.VerifyPKCS1v15(key, algorithm, sum, signature) != nil {
		return fmt.Errorf("%w: Signature does not fit", ErrProof)
	}
	return nil
}

// signed are the members that the signature covers, in their order.
func (e snsEnvelope) signed() ([]byte, error) {
	pairs := []string{"Message", e.Message, "MessageId", e.MessageID}
	switch e.Type {
	case snsNotification:
		if e.Subject != nil {
			pairs = append(pairs, "Subject", *e.Subject)
		}
	case snsSubscribe, snsUnsubscribe:
		pairs = append(pairs, "SubscribeURL", e.SubscribeURL)
	default:
		return nil, fmt.Errorf("%w: Type is none of SNS's", ErrProof)
	}
	pairs = append(pairs, "Timestamp", e.Timestamp)
	if e.Type != snsNotification {
		pairs = append(pairs, "Token", e.Token)
	}
	pairs = append(pairs, "TopicArn", e.TopicARN, "Type", e.Type)
	return []byte(strings.Join(pairs, "\n") + "\n"), nil
}

// certificate is the one at an address, from the cache or fetched and held to
// the roots.
func (v *SNS) certificate(ctx context.Context, address *url.URL) (*x509.Certificate, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if cert, ok := v.certs[address.String()]; ok && Now().Before(cert.NotAfter) {
		return cert, nil
	}
	ctx, cancel := context.WithTimeout(ctx, snsTimeout)
	defer cancel()
	body, others, err := v.get(ctx, address.String())
	if err != nil {
		return nil, fmt.Errorf("get SNS's certificate: %w", err)
	}
	chain, err := parsePEM(body)
	if err != nil {
		return nil, err
	}
	if err := v.trust(ctx, chain[0], append(chain[1:], others...), address.Host); err != nil {
		return nil, err
	}
	v.certs[address.String()] = chain[0]
	return chain[0], nil
}

func parsePEM(text []byte) (chain []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: SigningCertURL has no certificate", ErrProof)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: SigningCertURL has no certificate", ErrProof)
	}
	return chain, nil
}

// trust holds a certificate to its names and to the roots. The address gives
// the last link alone; the one above comes with it, with the connection, or
// from Amazon Trust Services' own host.
func (v *SNS) trust(ctx context.Context, cert *x509.Certificate, above []*x509.Certificate, host string) error {
	names := []string{host, "sns.amazonaws.com", "sns.amazonaws.com.cn"}
	if !slices.ContainsFunc(names, func(name string) bool { return cert.VerifyHostname(name) == nil }) {
		return fmt.Errorf("%w: the certificate is not of Amazon SNS", ErrProof)
	}
	pool := x509.NewCertPool()
	for _, c := range above {
		pool.AddCert(c)
	}
	options := x509.VerifyOptions{Roots: v.roots, Intermediates: pool, CurrentTime: Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	_, err := cert.Verify(options)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		for _, address := range cert.IssuingCertificateURL {
			if !amazonIssuer.MatchString(address) {
				continue
			}
			body, _, fetchErr := v.get(ctx, address)
			if fetchErr != nil {
				return fmt.Errorf("get the issuer of SNS's certificate: %w", fetchErr)
			}
			if issuer, parseErr := x509.ParseCertificate(body); parseErr == nil {
				pool.AddCert(issuer)
			}
			_, err = cert.Verify(options)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: the certificate is not trusted: %w", ErrProof, err)
	}
	return nil
}

var amazonIssuer = regexp.MustCompile(`^http://crt\.[a-z0-9]+\.amazontrust\.com/[a-z0-9]+\.cer$`)

// get reads a small file, and the certificates above the connection's own.
// That there is none is the sender's fault; any other is ours or Amazon's.
func (v *SNS) get(ctx context.Context, address string) ([]byte, []*x509.Certificate, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 500:
		return nil, nil, fmt.Errorf("%w: %s answers %s", ErrProof, req.URL.Host, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCert))
	if err != nil {
		return nil, nil, err
	}
	var above []*x509.Certificate
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 1 {
		above = resp.TLS.PeerCertificates[1:]
	}
	return body, above, nil
}

// confirm visits the link that begins a subscription.
func (v *SNS) confirm(ctx context.Context, address string) error {
	u, err := amazonURL(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, snsTimeout)
	defer cancel()
	if _, _, err := v.get(ctx, u.String()); err != nil {
		return fmt.Errorf("confirm the subscription: %w", err)
	}
	return nil
}

// ParseSNS reads a proved delivery: read takes the message, where it is a JSON
// object.
func ParseSNS(r Request, s Source, read func(message []byte, d *Delivery) error) (Delivery, error) {
	var d Delivery
	if _, err := MediaType(r, "text/plain", "application/json"); err != nil {
		return d, err
	}
	if snsRaw(r) {
		d.ID = r.Header.Get("X-Amz-Sns-Message-Id")
		err := read(r.Body, &d)
		return d, err
	}
	var e snsEnvelope
	if err := JSON(r.Body, &e); err != nil {
		return d, err
	}
	d.ID = e.MessageID
	switch e.Type {
	case snsNotification:
		if !strings.HasPrefix(strings.TrimLeft(e.Message, " \t\r\n"), "{") {
			d.Ignore("message is not a JSON object")
			return d, nil
		}
		err := read([]byte(e.Message), &d)
		return d, err
	case snsSubscribe:
		if s.Config.Insecure {
			d.Ignore("subscription is not confirmed: nothing proves it")
			return d, nil
		}
		d.Reply = &Reply{Status: http.StatusOK}
	case snsUnsubscribe:
		d.Ignore("subscription has ended; its link would begin it again, and is not visited")
	default:
		return d, fmt.Errorf("%w: Type is none of SNS's", ErrBody)
	}
	return d, nil
}
