package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/freeport"
)

// NATS is what the manifests have of NATS, to be run on this machine: the config
// is theirs but for addresses and folders.
type NATS struct {
	// Program is nats-server, Dir holds all that is written.
	Program, Dir string
	// Config is nats.conf, Users its users.conf.
	Config, Users string
	// Certs has ca.crt, nats.crt and nats.key.
	Certs string
	// Leaf is where clusters join, set by Servers.
	Leaf string
}

// replaced writes a config of this machine; each of the old texts must be in it.
func replaced(text string, pairs ...string) (string, error) {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return "", fmt.Errorf("the config of NATS has no %s", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text, nil
}

// Servers are the three of the manifests. The first listens at addr, and tells of
// itself at monitor.
func (n *NATS) Servers(addr, monitor string) ([]*local.Process, error) {
	const servers = 3
	var routes [servers]string
	for i := range routes {
		port, err := freeport.Take()
		if err != nil {
			return nil, err
		}
		routes[i] = fmt.Sprintf("localhost:%d", port)
	}
	var all []*local.Process
	for i := range servers {
		own, told := addr, monitor
		leaf, err := freeport.Address()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			n.Leaf = leaf
		} else if own, err = freeport.Address(); err != nil {
			return nil, err
		} else if told, err = freeport.Address(); err != nil {
			return nil, err
		}
		name := fmt.Sprintf("nats-%d", i)
		text, err := n.local(n.Config, name,
			"0.0.0.0:4222", own, "0.0.0.0:8222", told, "0.0.0.0:7422", leaf, "0.0.0.0:6222", routes[i],
			"nats-0.nats:6222", routes[0], "nats-1.nats:6222", routes[1], "nats-2.nats:6222", routes[2],
			`"/data"`, `"`+filepath.Join(n.Dir, name, "data")+`"`)
		if err != nil {
			return nil, err
		}
		p, err := n.process(name, text, map[string]string{"users.conf": n.Users})
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// LeafNode is the server by which a cluster joins; it shows the certificate of
// that name, and listens at the address that it gives.
func (n *NATS) LeafNode(config, remote, certificate string) (p *local.Process, addr string, err error) {
	own, err := freeport.Address()
	if err != nil {
		return nil, "", err
	}
	told, err := freeport.Address()
	if err != nil {
		return nil, "", err
	}
	text, err := n.local(config, certificate, "0.0.0.0:4222", own, "0.0.0.0:8222", told,
		"/run/secrets/leaf/tls.crt", filepath.Join(n.Certs, certificate+".crt"), "/run/secrets/leaf/tls.key", filepath.Join(n.Certs, certificate+".key"),
		"/run/secrets/leaf/ca.crt", filepath.Join(n.Certs, "ca.crt"))
	if err != nil {
		return nil, "", err
	}
	if remote, err = replaced(remote, "bus.example.com:7422", n.Leaf); err != nil {
		return nil, "", err
	}
	p, err = n.process(certificate, text, map[string]string{"remote.conf": remote})
	return p, own, err
}

// local puts this machine's folders into a config.
func (n *NATS) local(text, name string, pairs ...string) (string, error) {
	return replaced(text, append(pairs, "$POD_NAME", name, "/run/nats/nats.pid", filepath.Join(n.Dir, name, "nats.pid"),
		"/run/secrets/nats/tls.crt", filepath.Join(n.Certs, "nats.crt"), "/run/secrets/nats/tls.key", filepath.Join(n.Certs, "nats.key"),
		"/run/secrets/nats/ca.crt", filepath.Join(n.Certs, "ca.crt"))...)
}

func (n *NATS) process(name, config string, files map[string]string) (*local.Process, error) {
	dir := filepath.Join(n.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", name, err)
	}
	files["nats.conf"] = config
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write the config of %s: %w", name, err)
		}
	}
	return local.NewProcess(name, dir, n.Program, "--trace", "--config", filepath.Join(dir, "nats.conf")), nil
}
