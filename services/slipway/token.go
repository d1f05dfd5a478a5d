package slipway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-cd/slipway/shared/service"
)

// tokenFlags say where a person's token comes from: a variable, or a command
// that prints it, such as `gcloud auth print-identity-token`.
type tokenFlags struct {
	env, command string
	// named says that the person chose the variable.
	named func() bool
}

const (
	tokenEnv     = "SLIPWAY_TOKEN"
	tokenCommand = "SLIPWAY_TOKEN_COMMAND"
	// maxToken bounds what a command may print, in bytes.
	maxToken = 64 << 10
	// tokenTimeout is for a command that may ask a person to sign in.
	tokenTimeout = 5 * time.Minute
)

func (f *tokenFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.env, "token-env", tokenEnv, "the environment variable that holds your token, one of the config's or of your OIDC issuer")
	c.Flags().StringVar(&f.command, "token-command", "", "a command that prints your token, run by sh (also by "+tokenCommand+", where no variable has a token)")
	f.named = func() bool { return c.Flags().Changed("token-env") }
}

// read gives the token.
func (f *tokenFlags) read(ctx context.Context) (string, error) {
	command := f.command
	if command != "" && f.named() {
		return "", fmt.Errorf("%w: give either --token-env or --token-command", errUsage)
	}
	if command == "" && !f.named() && os.Getenv(f.env) == "" {
		command = os.Getenv(tokenCommand)
	}
	if command != "" {
		return runForToken(ctx, command)
	}
	token, err := service.Secret{Env: f.env}.Read()
	if err != nil {
		return "", fmt.Errorf("%w: the API wants to know who you are: %w: put your token there (one of automator.people in the config, or of your OIDC issuer), or name a command that prints it in --token-command", errUsage, err)
	}
	return token, nil
}

// runForToken runs a command with the person's terminal. What it prints is a
// secret, also when it isn't a token.
func runForToken(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	out := &bounded{full: cancel}
	run := exec.CommandContext(ctx, "sh", "-c", command)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, out, os.Stderr
	run.WaitDelay = time.Second
	if err := run.Run(); err != nil {
		return "", fmt.Errorf("run the command for your token: %w", err)
	}
	token := strings.TrimSpace(out.text.String())
	switch {
	case token == "":
		return "", errors.New("run the command for your token: it prints nothing")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("run the command for your token: it prints something else than one token")
	}
	return token, nil
}

// bounded keeps what is written up to a limit, and then says so.
type bounded struct {
	text bytes.Buffer // not embedded: its ReadFrom knows no limit
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxToken {
		b.full()
		return 0, fmt.Errorf("it prints more than %d bytes", maxToken)
	}
	return b.text.Write(p)
}
