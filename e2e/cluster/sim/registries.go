package sim

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/distribution/reference"
)

const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

// Registries finds images.
type Registries struct {
	aliases map[string]string
	client  *http.Client
}

// NewRegistries knows where a registry is that has another public name. A loopback
// address is asked over plain HTTP, any other over HTTPS.
func NewRegistries(aliases map[string]string) *Registries {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 32
	return &Registries{aliases: aliases, client: &http.Client{Transport: transport, Timeout: 3 * time.Second}}
}

// Resolve asks the registry for an image and returns it by digest, as a kubelet
// reports it.
func (r *Registries) Resolve(ctx context.Context, image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	named = reference.TagNameOnly(named)
	version := ""
	if tagged, ok := named.(reference.Tagged); ok {
		version = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		version = digested.Digest().String()
	}
	host := reference.Domain(named)
	url := fmt.Sprintf("%s/v2/%s/manifests/%s", r.base(host), reference.Path(named), version)
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", image, err)
	}
	req.Header.Set("Accept", manifestTypes)
	resp, err := r.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", image, err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("pull %s: the registry answered %s", image, resp.Status)
	}
	digest := resp.Header.Get("Docker-Content-Digest")
	if digest == "" {
		return "", fmt.Errorf("pull %s: the registry named no digest", image)
	}
	return reference.TrimNamed(named).Name() + "@" + digest, nil
}

func (r *Registries) base(host string) string {
	address, ok := r.aliases[host]
	if !ok {
		address = host
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		name = address
	}
	ip := net.ParseIP(name)
	if ok || name == "localhost" || (ip != nil && ip.IsLoopback()) {
		return "http://" + address
	}
	return "https://" + address
}
