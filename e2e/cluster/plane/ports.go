package plane

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// freePorts finds n different ports that nothing listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// listenAPI opens the API server's port: the wanted one, else the one of the last
// time, so that clients find the cluster again, else a free one.
func listenAPI(opts Options) (net.Listener, int, error) {
	remembered := filepath.Join(opts.Dir, "api-port")
	port := opts.APIPort
	if port == 0 {
		if text, err := os.ReadFile(remembered); err == nil {
			port, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
	}
	l, err := net.Listen("tcp", net.JoinHostPort(opts.Bind, strconv.Itoa(port)))
	if err != nil && opts.APIPort == 0 {
		l, err = net.Listen("tcp", net.JoinHostPort(opts.Bind, "0"))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("listen for the API server: %w", err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if err := os.WriteFile(remembered, []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		_ = l.Close()
		return nil, 0, fmt.Errorf("remember the API server's port: %w", err)
	}
	return l, port, nil
}
