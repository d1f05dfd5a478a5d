package slipway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// sendFlags are what `slipway send` is told besides the file.
type sendFlags struct {
	provider, url, secretEnv string
	headers                  []string
}

// sendTimeout is the longest that a sender of any provider waits.
const sendTimeout = 30 * time.Second

// errAnswer marks an answer that is no success; it was printed already.
var errAnswer = errors.New("the receiver answered")

func newSend() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send --provider P --url URL --secret-env NAME [--header 'K: V']… FILE",
		Short: "Post a webhook's body to a receiver, signed as the provider signs it; - reads standard input",
		Long: `Post a webhook's body to a receiver with the provider's own signature, to try a
set-up. Status and body of the answer are printed. Without --secret-env the
request is not signed: for senders that prove themselves by the path,
/hooks/{source}/{token}.

Exit codes: 0 for 2xx; 3 for 401 and 403; 2 for wrong use; 1 otherwise.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return send(cmd, f, args[0]) },
	}
	c.Flags().StringVar(&f.provider, "provider", "", "who is to have sent it (see `slipway providers`)")
	c.Flags().StringVar(&f.url, "url", "", "the receiver's address, such as https://hooks.example.com/hooks/ghcr")
	c.Flags().StringVar(&f.secretEnv, "secret-env", "", "the environment variable that holds the source's secret")
	c.Flags().StringArrayVar(&f.headers, "header", nil, "a header of the request, 'Name: value'")
	return c
}

func send(cmd *cobra.Command, f sendFlags, file string) error {
	req, err := f.request(cmd, file)
	if err != nil {
		return err
	}
	// A redirect is an answer: the secret goes nowhere else.
	client := &http.Client{Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("send the webhook: %w", err)
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
		return fmt.Errorf("%w: %w", errAnswer, webhook.ErrProof)
	case res.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %w", errAnswer, webhook.ErrForbidden)
	default:
		return fmt.Errorf("%w: %s", errAnswer, res.Status)
	}
}

// request reads flags and file and signs.
func (f sendFlags) request(cmd *cobra.Command, file string) (*http.Request, error) {
	header, err := parseHeaders(f.headers)
	if err != nil {
		return nil, err
	}
	_, provider, err := findProvider(f.provider, header)
	if err != nil {
		return nil, err
	}
	body, err := readBody(cmd, file)
	if err != nil {
		return nil, err
	}
	if f.secretEnv != "" {
		if provider.Sign == nil {
			return nil, fmt.Errorf("%w: --secret-env: %s signs nothing that could be made here: give its proof by --header or in the path of --url", errUsage, f.provider)
		}
		secret, err := service.Secret{Env: f.secretEnv}.Read()
		if err != nil {
			return nil, fmt.Errorf("%w: --secret-env: %w", errUsage, err)
		}
		provider.Sign(header, body, secret, time.Now())
	}
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil || req.URL.Host == "" {
		return nil, fmt.Errorf("%w: --url %q is not an address such as https://hooks.example.com/hooks/ghcr", errUsage, f.url)
	}
	req.Header = header
	return req, nil
}
