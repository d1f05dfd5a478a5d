// Command registry is CNCF Distribution, the reference container registry, with its
// own notifications, for tests.
//
//	registry --data DIR [--listen 127.0.0.1:0] [--notify URL]... [--notify-header 'K: V']...
//	registry serve FILE
//
// With serve it reads Distribution's own configuration file, as that command does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}

type settings struct {
	file         *configuration.Configuration // of serve
	data, listen string
	notify       []string
	headers      http.Header
}

func parse(args []string) (settings, error) {
	s := settings{headers: http.Header{}}
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1])
	}
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	flags.StringVar(&s.data, "data", "", "folder of the images")
	flags.StringVar(&s.listen, "listen", "127.0.0.1:0", "address to serve on")
	flags.Func("notify", "URL that hears of every push and pull; repeatable", func(v string) error {
		s.notify = append(s.notify, v)
		return nil
	})
	flags.Func("notify-header", "'K: V' sent along with each notification; repeatable", func(v string) error {
		key, value, ok := strings.Cut(v, ":")
		if !ok {
			return fmt.Errorf("%q is not 'K: V'", v)
		}
		s.headers.Add(strings.TrimSpace(key), strings.TrimSpace(value))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.data == "" {
		return s, errors.New("--data is required")
	}
	abs, err := filepath.Abs(s.data)
	s.data = abs
	return s, err
}

// serve reads Distribution's own configuration, from which the address is taken too.
func serve(file string) (s settings, err error) {
	text, err := os.Open(file)
	if err != nil {
		return s, fmt.Errorf("read the configuration: %w", err)
	}
	defer func() { _ = text.Close() }()
	if s.file, err = configuration.Parse(text); err != nil {
		return s, fmt.Errorf("read the configuration %s: %w", file, err)
	}
	s.listen = s.file.HTTP.Addr
	data, ok := s.file.Storage["filesystem"]["rootdirectory"].(string)
	if !ok {
		return s, fmt.Errorf("read the configuration %s: storage.filesystem.rootdirectory is missing: this registry keeps its images in a folder", file)
	}
	s.data = data
	return s, nil
}

func (s settings) config() *configuration.Configuration {
	if s.file != nil {
		return s.file
	}
	c := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem":  configuration.Parameters{"rootdirectory": s.data},
			"delete":      configuration.Parameters{"enabled": true},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	c.HTTP.Secret = "uploads go on after a restart"
	for i, url := range s.notify {
		c.Notifications.Endpoints = append(c.Notifications.Endpoints, configuration.Endpoint{
			Name: fmt.Sprintf("notify-%d", i), URL: url, Headers: s.headers,
			// An endpoint that was away is found again soon.
			Timeout: 2 * time.Second, Threshold: 3, Backoff: 500 * time.Millisecond,
		})
	}
	return c
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	logrus.SetOutput(os.Stderr)
	logrus.SetLevel(logrus.WarnLevel)
	// Distribution's own command starts OpenTelemetry's exporters; its handler, which is
	// all that is used here, does not.
	app := handlers.NewApp(ctx, s.config())
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	line, err := json.Marshal(map[string]string{"address": listener.Addr().String()})
	if err != nil {
		return fmt.Errorf("write the ready line: %w", err)
	}
	fmt.Fprintf(out, "%s\n", line)
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(bounded); errors.Is(err, context.DeadlineExceeded) {
		return server.Close() // a client keeps its connection: it is told the hard way
	} else if err != nil {
		return fmt.Errorf("end the open requests: %w", err)
	}
	return nil
}
