package parts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PackChart makes the archive of a chart of its files, as `helm package` does.
func PackChart(chart string, files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	pack := tar.NewWriter(zip)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := pack.WriteHeader(&tar.Header{Name: chart + "/" + file, Mode: 0o644, Size: int64(len(files[file]))}); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file, err)
		}
		if _, err := pack.Write(files[file]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file, err)
		}
	}
	if err := errors.Join(pack.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("pack %s: %w", chart, err)
	}
	return b.Bytes(), nil
}

// PushChart pushes an archive as `helm push` does.
func PushChart(ctx context.Context, registryAddr, repo, version string, archive []byte) (digest string, err error) {
	ref, err := name.NewTag(fmt.Sprintf("%s/%s:%s", registryAddr, repo, strings.ReplaceAll(version, "+", "_")), name.Insecure)
	if err != nil {
		return "", fmt.Errorf("push a chart: %w", err)
	}
	image, err := mutate.Append(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json"),
		mutate.Addendum{Layer: static.NewLayer(archive, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")},
	)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	d, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	return d.String(), nil
}

// ChartRepository is one with an index.yaml, for a user and a password.
type ChartRepository struct {
	URL, User, Password string

	server *httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
}

// StartChartRepository serves an empty one on loopback.
func StartChartRepository(user, password string) *ChartRepository {
	r := &ChartRepository{User: user, Password: password, files: map[string][]byte{"/index.yaml": []byte("apiVersion: v1\nentries: {}\n")}}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = r.server.URL
	return r
}

func (r *ChartRepository) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, found := r.files[req.URL.Path]
	user, password, _ := req.BasicAuth()
	switch {
	case user != r.User || password != r.Password:
		w.WriteHeader(http.StatusUnauthorized)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(data) // who hangs up has what he wanted
	}
}

// Publish adds a version of a chart, and writes its index anew.
func (r *ChartRepository) Publish(chart, version string, archive []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file := chart + "-" + version + ".tgz"
	r.files["/"+file] = archive
	index := string(r.files["/index.yaml"])
	head := "entries:\n  " + chart + ":\n"
	index = strings.Replace(index, "entries: {}\n", head, 1)
	entry := fmt.Sprintf("  - version: %s\n    digest: %x\n    urls: [%s]\n", version, sha256.Sum256(archive), file)
	r.files["/index.yaml"] = []byte(strings.Replace(index, head, head+entry, 1))
}

// Stop ends it.
func (r *ChartRepository) Stop() { r.server.Close() }
