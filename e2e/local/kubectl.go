package local

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// Kubectl runs kubectl on the world's cluster and gives what it prints.
func (w *World) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	if w.Cluster != nil {
		return w.Cluster.KubectlInput(ctx, stdin, args...)
	}
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Health is an application as kubectl shows it.
type Health struct {
	Ready    bool
	Message  string
	Revision string
	Images   []string
}

// Health gives the applications of the shop by name.
func (w *World) Health(ctx context.Context) (map[string]Health, error) {
	out, err := w.Kubectl(ctx, "", "get", "applications.slipway.dev", "-n", "shop", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Revision   string
				Images     []string
				Conditions []struct{ Type, Status, Message string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read applications: %w", err)
	}
	all := map[string]Health{}
	for _, i := range list.Items {
		h := Health{Revision: i.Status.Revision, Images: i.Status.Images}
		for _, c := range i.Status.Conditions {
			if c.Type == "Ready" {
				h.Ready, h.Message = c.Status == "True", c.Message
			}
		}
		all[i.Metadata.Name] = h
	}
	return all, nil
}

// unready says of a few applications why they aren't.
func unready(all map[string]Health) string {
	const most = 5
	var some []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if h := all[name]; !h.Ready && len(some) < most {
			some = append(some, fmt.Sprintf("%s (%s)", name, h.Message))
		}
	}
	return strings.Join(some, ", ")
}

// AllReady waits until that many applications of the shop are there and
// ready; told gets the name of each that becomes so, and may be nil.
func (w *World) AllReady(ctx context.Context, count int, told func(name, message string)) error {
	seen := map[string]bool{}
	// Each takes its time on a small machine.
	patience := 2*time.Minute + time.Duration(count)*150*time.Millisecond
	return parts.Eventually(ctx, patience, func() error {
		all, err := w.Health(ctx)
		if err != nil {
			return err
		}
		for name, h := range all {
			if h.Ready && !seen[name] {
				seen[name] = true
				if told != nil {
					told(name, h.Message)
				}
			}
		}
		if len(seen) < count {
			return fmt.Errorf("%d of %d applications are ready: %s", len(seen), count, unready(all))
		}
		return nil
	})
}
