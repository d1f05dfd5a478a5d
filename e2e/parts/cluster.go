package parts

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ClusterOptions say what a cluster is started with.
type ClusterOptions struct {
	Dir             string            // its state, kubeconfig and log
	RegistryAliases map[string]string // by a registry's public host, where it really is
	APIPort         int               // 0: the one used before in Dir, else a free one
	Nodes           int               // 0: one
}

// Cluster is a running control plane with simulated nodes. Stopped or killed, it can
// be started again in its Dir with all its objects.
type Cluster struct {
	*process
	Kubeconfig string `json:"kubeconfig"`
	Server     string `json:"server"`
}

// StartCluster starts a Kubernetes and returns when pods can be created in it. How
// its pods behave is told in e2e/cluster's README. The context bounds the start only.
func StartCluster(ctx context.Context, opts ClusterOptions) (*Cluster, error) {
	args := []string{"up", "--data", opts.Dir, "--api-port", strconv.Itoa(opts.APIPort), "--nodes", strconv.Itoa(max(opts.Nodes, 1))}
	for _, host := range slices.Sorted(maps.Keys(opts.RegistryAliases)) {
		args = append(args, "--registry-alias", host+"="+opts.RegistryAliases[host])
	}
	c := &Cluster{}
	var err error
	if c.process, err = start(ctx, ClusterProgram, opts.Dir, c, args...); err != nil {
		return nil, err
	}
	return c, nil
}

// Kubectl runs kubectl as administrator and returns what it prints.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, "", args...)
}

// Apply sends manifests through kubectl apply.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.KubectlInput(ctx, manifests, "apply", "-f", "-")
	return err
}

// KubectlInput is [Cluster.Kubectl] with something to read.
func (c *Cluster) KubectlInput(ctx context.Context, input string, args ...string) (string, error) {
	own := []string{"kubectl", "--kubeconfig", c.Kubeconfig, "--cache-dir", filepath.Join(filepath.Dir(c.Kubeconfig), "kubectl")}
	cmd := exec.CommandContext(ctx, c.cmd.Path, append(own, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
