package slipway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// sendFlags are what `slipway send` is told besides the file.
type sendFlags struct {
	provider, url, secretEnv, secretHeader, signature string
	headers                                           []string
}

// sendTimeout is the longest that a sender of any provider waits.
const sendTimeout = 30 * time.Second

// errAnswer marks an answer that is no success; it was printed already.
var errAnswer = errors.New("the receiver answered")

func newSend() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send --provider P --url URL --secret-env NAME [--header 'K: V']… FILE",
		Short: "Post a webhook's body to a receiver, proved as the provider proves it; - reads standard input",
		Long: `Post a webhook's body to a receiver with the provider's own proof, to try a
set-up. Status and body of the answer are printed.

With --secret-env the proof is made of the source's secret: a signature or a
header, or, where the provider has nothing else, the end of the path
(/hooks/{source}/{secret}) or ?code= of Event Grid, unless --url has one. Where
the source's config has header or signature, say the same by --secret-header and
--signature. Without --secret-env the request goes as it is, with the headers
that are given: a token of Google's or Entra ID's (gar, azure-eventgrid with
oidc) is --header 'Authorization: Bearer …'. Envelopes of SNS are signed by SNS
alone: aws-sns with --secret-env is a raw delivery, which needs
--header 'X-Amz-Sns-Topic-Arn: …'.

Exit codes: 0 for 2xx; 3 for 401 and 403; 2 for wrong use; 1 otherwise.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return send(cmd, f, args[0]) },
	}
	c.Flags().StringVar(&f.provider, "provider", "", "who is to have sent it (see `slipway providers`)")
	c.Flags().StringVar(&f.url, "url", "", "the receiver's address, such as https://hooks.example.com/hooks/ghcr")
	c.Flags().StringVar(&f.secretEnv, "secret-env", "", "the environment variable that holds the source's secret")
	c.Flags().StringVar(&f.secretHeader, "secret-header", "", "the header that the source's config names as header")
	c.Flags().StringVar(&f.signature, "signature", "", "the signature of the source's config, such as hmac or 'hmac-sha256 prefix=v1='")
	c.Flags().StringArrayVar(&f.headers, "header", nil, "a header of the request, 'Name: value'")
	return c
}

func send(cmd *cobra.Command, f sendFlags, file string) error {
	req, provider, err := f.request(cmd, file)
	if err != nil {
		return err
	}
	// A redirect is an answer: the secret goes nowhere else.
	client := &http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, which may hold the secret
		}
		return fmt.Errorf("send the webhook to %s: %w", req.URL.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, webhook.MiB))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", res.Status, bytes.TrimSpace(answer))
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w. %s", errAnswer, webhook.ErrProof, wayIn(provider))
	case res.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %w", errAnswer, webhook.ErrForbidden)
	case res.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %s: there is no such source, or what stands behind it in the path is none of its secrets. %s", errAnswer, res.Status, wayIn(provider))
	default:
		return fmt.Errorf("%w: %s", errAnswer, res.Status)
	}
}

// wayIn tells who was refused how a source of the provider is proved.
func wayIn(p webhook.Provider) string {
	return fmt.Sprintf("The secret of a source of %s: %s (What --secret-env can't make, such as an OIDC token: --header 'Authorization: Bearer …'.)", p.Name, p.Setup.Secret)
}

// request reads flags and file and proves the sender.
func (f sendFlags) request(cmd *cobra.Command, file string) (*http.Request, webhook.Provider, error) {
	header, err := parseHeaders(f.headers)
	if err != nil {
		return nil, webhook.Provider{}, err
	}
	_, provider, err := findProvider(service.Source{Provider: f.provider}, header)
	if err != nil {
		return nil, provider, err
	}
	body, err := readBody(cmd, file)
	if err != nil {
		return nil, provider, err
	}
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil || req.URL.Host == "" {
		return nil, provider, fmt.Errorf("%w: --url %q is not an address such as https://hooks.example.com/hooks/ghcr", errUsage, f.url)
	}
	req.Header = header
	return req, provider, f.prove(req, provider, body)
}

func (f sendFlags) prove(req *http.Request, provider webhook.Provider, body []byte) error {
	if f.secretEnv == "" {
		if f.secretHeader != "" || f.signature != "" {
			return fmt.Errorf("%w: --secret-header and --signature need --secret-env", errUsage)
		}
		return nil
	}
	secret, err := service.Secret{Env: f.secretEnv}.Read()
	if err != nil {
		return fmt.Errorf("%w: --secret-env: %w", errUsage, err)
	}
	source := service.Source{Provider: provider.Name, Header: f.secretHeader, Signature: f.signature}
	if err := provider.SignRequest(req, body, source, secret, time.Now()); err != nil {
		return fmt.Errorf("%w: --secret-env: %w", errUsage, err)
	}
	return nil
}
