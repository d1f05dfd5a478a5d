package parts

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
)

// RegistryOptions say what a registry is started with.
type RegistryOptions struct {
	Dir           string            // its images and log
	Addr          string            // host:port; empty: loopback, on the port used before in Dir or a free one
	NotifyURL     string            // hears of every push, pull and deletion; may be empty
	NotifyHeaders map[string]string // sent along
}

// Registry is a running CNCF Distribution. Stopped or killed, it can be started again
// with its Dir and Addr and has all its images.
type Registry struct {
	*process
	Addr string `json:"address"`
}

// StartRegistry starts a registry that speaks plain HTTP. The context bounds the start
// only.
func StartRegistry(ctx context.Context, opts RegistryOptions) (*Registry, error) {
	var err error
	if opts.Addr, err = address(opts.Addr, opts.Dir); err != nil {
		return nil, err
	}
	args := []string{"--data", filepath.Join(opts.Dir, "images"), "--listen", opts.Addr}
	if opts.NotifyURL != "" {
		args = append(args, "--notify", opts.NotifyURL)
	}
	for _, key := range slices.Sorted(maps.Keys(opts.NotifyHeaders)) {
		args = append(args, "--notify-header", key+": "+opts.NotifyHeaders[key])
	}
	r := &Registry{}
	if r.process, err = start(ctx, RegistryProgram, opts.Dir, r, args...); err != nil {
		return nil, err
	}
	return r, nil
}
