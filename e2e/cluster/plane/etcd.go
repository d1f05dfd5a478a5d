package plane

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd runs etcd on loopback and returns its client's address.
func startEtcd(ctx context.Context, dir string) (*embed.Etcd, string, error) {
	var client, peer url.URL
	for _, u := range []*url.URL{&client, &peer} {
		port, err := freePort()
		if err != nil {
			return nil, "", err
		}
		*u = url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	}

	cfg := embed.NewConfig()
	cfg.Name = "etcd"
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{"stderr"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// Written data outlives a killed process; it need not outlive the machine.
	cfg.UnsafeNoFsync = true
	cfg.QuotaBackendBytes = 2 << 30
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "periodic", "10m"
	// A busy machine must not make the only member look for another leader.
	cfg.TickMs, cfg.ElectionMs = 100, 3000
	cfg.InitialElectionTickAdvance = true

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, client.String(), nil
	case err := <-server.Err():
		server.Close()
		return nil, "", fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		server.Close()
		return nil, "", fmt.Errorf("start etcd: %w", ctx.Err())
	}
}
