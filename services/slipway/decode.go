package slipway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/events"
	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/services/slipway/bootstrap"
	"github.com/slipway-cd/slipway/services/slipway/cutover"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// decodeFlags are what `slipway decode` is told besides the file.
type decodeFlags struct {
	provider, secretEnv, registry, host, now string
	headers                                  []string
}

func newDecode() *cobra.Command {
	var f decodeFlags
	c := &cobra.Command{
		Use:   "decode --provider P [--header 'K: V']… FILE",
		Short: "Print the events that a receiver would make of a webhook's body; - reads standard input",
		Long: `Print the events that a receiver would make of a webhook's body, as a JSON array
of CloudEvents. Without --secret-env the sender's proof is not checked.

Exit codes: 0 also for what is put aside (the reason is on standard error); 2 for
what would be answered 400, 413 or 415; 3 for 401 and 403.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return decode(cmd, f, args[0]) },
	}
	c.Flags().StringVar(&f.provider, "provider", "", "who sent it (see `slipway providers`)")
	c.Flags().StringArrayVar(&f.headers, "header", nil, "a header of the request, 'Name: value'")
	c.Flags().StringVar(&f.secretEnv, "secret-env", "", "the environment variable that holds the source's secret")
	c.Flags().StringVar(&f.registry, "registry", "", "the registry's public host")
	c.Flags().StringVar(&f.host, "host", "", "the Git host's public name")
	c.Flags().StringVar(&f.now, "now", "", "the time (RFC 3339) of events whose body tells none; default is the present")
	return c
}

func decode(cmd *cobra.Command, f decodeFlags, file string) error {
	o, err := f.offline(cmd, file)
	if err != nil {
		return err
	}
	if len(o.Source.Secrets) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "slipway: the sender's proof is not checked: no --secret-env")
	}
	all, ignored, err := o.Decode(cmd.Context())
	if err != nil {
		return err
	}
	for _, reason := range ignored {
		fmt.Fprintln(cmd.ErrOrStderr(), "slipway: put aside:", reason)
	}
	if all == nil {
		all = []events.Event{}
	}
	return printJSON(cmd, all)
}

// offline reads flags and file.
func (f decodeFlags) offline(cmd *cobra.Command, file string) (webhook.Offline, error) {
	header, err := parseHeaders(f.headers)
	if err != nil {
		return webhook.Offline{}, err
	}
	svc, provider, err := findProvider(service.Source{Provider: f.provider, Host: f.host}, header)
	if err != nil {
		return webhook.Offline{}, err
	}
	o := webhook.Offline{Service: svc, Provider: provider, Now: time.Now(), Source: webhook.Source{
		Name: f.provider, Host: f.registry, Config: service.Source{Name: f.provider, Provider: f.provider, Registry: f.registry, Host: f.host},
	}}
	if f.host != "" {
		o.Source.Host = f.host
	}
	if f.now != "" {
		if o.Now, err = time.Parse(time.RFC3339, f.now); err != nil {
			return o, fmt.Errorf("%w: --now: %w", errUsage, err)
		}
	}
	if f.secretEnv != "" {
		secret, err := service.Secret{Env: f.secretEnv}.Read()
		if err != nil {
			return o, fmt.Errorf("%w: --secret-env: %w", errUsage, err)
		}
		o.Source.Secrets = []string{secret}
	}
	body, err := readBody(cmd, file)
	o.Request = webhook.Request{Header: header, Body: body}
	return o, err
}

func parseHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("%w: --header %q is not 'Name: value'", errUsage, line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	return h, nil
}

// findProvider gives a source's provider and its receiver; of two that have
// the name, the one that takes the source and wants the headers.
func findProvider(s service.Source, h http.Header) (svc string, p webhook.Provider, err error) {
	found := false
	for _, table := range []struct {
		service string
		rows    []webhook.Provider
	}{{"git-receiver", gitreceiver.Providers()}, {"registry-receiver", registryreceiver.Providers()}} {
		for _, row := range table.rows {
			if row.Name != s.Provider || (row.Takes != nil && !row.Takes(s)) || (found && row.Wants != nil && !row.Wants(h)) {
				continue
			}
			svc, p = table.service, row
			if row.Wants == nil || row.Wants(h) {
				return svc, p, nil
			}
			found = true
		}
	}
	if !found {
		return "", p, fmt.Errorf("%w: --provider %q is not known (`slipway providers` lists them)", errUsage, s.Provider)
	}
	return svc, p, nil
}

func readBody(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		body, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("%w: read standard input: %w", errUsage, err)
		}
		return body, nil
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return body, nil
}

// refused says whether an error is one that a sender would be refused for.
func refused(err error) bool {
	return errors.Is(err, webhook.ErrProof) || errors.Is(err, webhook.ErrForbidden) || errors.Is(err, errRefused) || errors.Is(err, cutover.ErrRefused) || errors.Is(err, bootstrap.ErrRefused)
}
