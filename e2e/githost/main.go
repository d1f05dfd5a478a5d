// Command githost is Gitea, a whole Git host with an API and webhooks, set up for
// tests on one folder.
//
//	githost --data DIR [--listen 127.0.0.1:0] [--assets DIR]
//
// With any other arguments it is the gitea command: the hooks that Gitea writes into
// its repositories call this program so.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	gitea "code.gitea.io/gitea/cmd"
	"code.gitea.io/gitea/modules/log"
	"code.gitea.io/gitea/modules/setting"
	"github.com/urfave/cli/v3"
)

// release is what Gitea calls itself; clients read it.
const release = "1.26.0"

func main() {
	setting.AppVer, setting.AppStartTime = release, time.Now().UTC()
	args := os.Args
	if len(args) > 1 && strings.HasPrefix(args[1], "--data") {
		prepared, err := prepare(args[1:])
		if err != nil {
			fmt.Fprintf(os.Stderr, "githost: %v\n", err)
			os.Exit(1)
		}
		args = prepared
	}
	cli.OsExiter = func(code int) {
		log.GetManager().Close()
		os.Exit(code)
	}
	// Gitea has said on standard error what went wrong, and left.
	_ = gitea.RunMainApp(gitea.NewMainApp(gitea.AppVersion{Version: release}), args...)
	log.GetManager().Close()
}

// prepare sets the folder up and returns the arguments that make Gitea serve it. When
// Gitea answers, the ready line is written.
func prepare(args []string) ([]string, error) {
	flags := flag.NewFlagSet("githost", flag.ContinueOnError)
	data := flags.String("data", "", "folder of the repositories, the database and the configuration")
	listen := flags.String("listen", "127.0.0.1:0", "address to serve on; port 0 takes the one used before in this folder, else a free one")
	assets := flags.String("assets", "", "folder with Gitea's templates, options and public; default: beside this program, with .assets after its name")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	out, err := takeStdout()
	if err != nil {
		return nil, err
	}
	h := host{assets: *assets}
	if h.dir, err = filepath.Abs(*data); err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	if h.assets == "" {
		program, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		h.assets = program + ".assets"
	}
	if _, err := os.Stat(filepath.Join(h.assets, "templates")); err != nil {
		return nil, fmt.Errorf("find Gitea's templates (--assets): %w", err)
	}
	if err := h.load(*listen); err != nil {
		return nil, err
	}
	config, err := h.writeConfig()
	if err != nil {
		return nil, err
	}
	go func() {
		if err := h.announce(context.Background(), out); err != nil {
			fmt.Fprintf(os.Stderr, "githost: %v\n", err)
			os.Exit(1)
		}
	}()
	return []string{os.Args[0], "web", "--config", config, "--work-path", h.dir}, nil
}

// takeStdout keeps standard output for the ready line: what Gitea prints goes to
// standard error.
func takeStdout() (*os.File, error) {
	saved, err := syscall.Dup(1)
	if err != nil {
		return nil, fmt.Errorf("keep standard output: %w", err)
	}
	syscall.CloseOnExec(saved)
	if err := syscall.Dup3(2, 1, 0); err != nil {
		return nil, fmt.Errorf("send Gitea's output to standard error: %w", err)
	}
	return os.NewFile(uintptr(saved), "ready"), nil
}

// announce waits until Gitea answers, makes the administrator on the first start and
// writes the ready line.
func (h *host) announce(ctx context.Context, out *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := h.answers(ctx)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for Gitea: %w", err)
		case <-tick.C:
		}
	}
	if h.state.Token == "" {
		if err := h.createAdmin(ctx); err != nil {
			return err
		}
	}
	line, err := json.Marshal(h.state.Ready)
	if err != nil {
		return fmt.Errorf("write the ready line: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return errors.Join(err, out.Close())
}

func (h *host) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.state.URL+"/api/v1/version", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answered %s", resp.Status)
	}
	return nil
}

// free turns port 0 into one that nothing listens on.
func free(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
