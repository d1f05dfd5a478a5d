package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// ReadyURL is where a process of this machine says that it is ready, unless
// listen.metrics says otherwise.
const ReadyURL = "http://127.0.0.1:9090/readyz"

// healthTimeout is how long the answer may take.
const healthTimeout = 3 * time.Second

// Healthcheck asks a running process whether it is ready; nil means that it
// is. The error tells what it said.
func Healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		const most = 1 << 10 // a reason is a line
		why, _ := io.ReadAll(io.LimitReader(res.Body, most))
		return fmt.Errorf("not ready: %s: %s", res.Status, why)
	}
	return nil
}

// healthcheck is `SERVICE healthcheck [--url URL]`, which containers run: an
// image has nothing else that could ask.
func healthcheck(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("healthcheck", flag.ContinueOnError)
	url := flags.String("url", ReadyURL, "where readiness is told")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flags has said why
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "healthcheck takes no arguments besides --url: %q\n", flags.Arg(0))
		return 2
	}
	if err := Healthcheck(ctx, *url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
