package plane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// freePort finds a port that nothing listens on, below those from which the system
// takes the ports of connections: one of these would be taken before its server
// listens, or while it is away.
func freePort() (port int, err error) {
	const first, last, tries = 10_000, 32_000, 100
	for range tries {
		var l net.Listener
		port = first + rand.IntN(last-first)
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// listenAPI opens the API server's port: the wanted one, else the one of the last
// time, so that clients find the cluster again, else a free one.
func listenAPI(opts Options) (net.Listener, int, error) {
	remembered := filepath.Join(opts.Dir, "api-port")
	l, err := listenOn(opts, remembered)
	if err != nil {
		return nil, 0, fmt.Errorf("listen for the API server: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := os.WriteFile(remembered, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		_ = l.Close()
		return nil, 0, fmt.Errorf("remember the API server's port: %w", err)
	}
	return l, port, nil
}

func listenOn(opts Options, remembered string) (net.Listener, error) {
	if opts.APIPort != 0 {
		return net.Listen("tcp", net.JoinHostPort(opts.Bind, strconv.Itoa(opts.APIPort)))
	}
	if text, err := os.ReadFile(remembered); err == nil {
		if l, err := net.Listen("tcp", net.JoinHostPort(opts.Bind, strings.TrimSpace(string(text)))); err == nil {
			return l, nil
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", net.JoinHostPort(opts.Bind, strconv.Itoa(port)))
}
