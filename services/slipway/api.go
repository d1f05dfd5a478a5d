package slipway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// errRefused marks what the API refuses: by whom it is asked, or too late.
var errRefused = errors.New("refused")

// apiFlags say where the automator's API is, and who asks.
type apiFlags struct {
	url   string
	token tokenFlags
}

const (
	defaultAPI = "http://127.0.0.1:8081"
	apiTimeout = 30 * time.Second
)

func (f *apiFlags) add(c *cobra.Command) {
	url := defaultAPI
	if set := os.Getenv("SLIPWAY_API"); set != "" {
		url = set
	}
	c.Flags().StringVar(&f.url, "api", url, "the automator's API (also by SLIPWAY_API)")
	f.token.add(c)
}

// call asks the API, and reads its answer into the given value.
func (f apiFlags) call(ctx context.Context, method, path string, body, into any) error {
	token, err := f.token.read(ctx)
	if err != nil {
		return err
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(f.url, "/")+path, bytes.NewReader(text))
	if err != nil || req.URL.Host == "" {
		return fmt.Errorf("%w: --api %q is not an address such as %s", errUsage, f.url, defaultAPI)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	// The token goes nowhere else.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the automator: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16*webhook.MiB))
	if err != nil {
		return fmt.Errorf("read the automator's answer: %w", err)
	}
	if res.StatusCode/100 == 2 {
		if err := json.Unmarshal(answer, into); err != nil {
			return fmt.Errorf("read the automator's answer: %w", err)
		}
		return nil
	}
	return apiError(res.StatusCode, answer)
}

// apiError is what a refusal of the API means for the command.
func apiError(status int, answer []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		problem.Detail = http.StatusText(status)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict:
		return fmt.Errorf("%w: %s", errRefused, problem.Detail)
	case http.StatusBadRequest, http.StatusNotFound:
		return fmt.Errorf("%w: %s", errUsage, problem.Detail)
	default:
		return fmt.Errorf("the automator answered %d: %s", status, problem.Detail)
	}
}
