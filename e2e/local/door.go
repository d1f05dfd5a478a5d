package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Door is what stands before the receivers of a separate world, since senders
// know one address. It remembers what was sent, so that it can be told again.
type Door struct {
	url           string
	registry, git http.Handler
	mu            sync.Mutex
	fromRegistry  []Delivery
	fromGit       []Delivery
	holdsRegistry bool
	holdsGit      bool
	listener      net.Listener
}

// Delivery is a webhook as it was sent.
type Delivery struct {
	Path   string
	Header http.Header
	Body   []byte
}

// openDoor hands webhooks to a receiver of the kind whose source they name.
func openDoor(port int, registry, git []string) (*Door, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	d := &Door{url: "http://" + l.Addr().String(), listener: l, registry: newSpread(registry), git: newSpread(git)}
	go func() { _ = http.Serve(l, d) }()
	return d, nil
}

// ServeHTTP remembers deliveries and hands them on.
func (d *Door) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	delivery := Delivery{r.URL.Path, r.Header.Clone(), body}
	r.Body = io.NopCloser(bytes.NewReader(body))
	d.mu.Lock()
	held, to := false, d.git
	if strings.HasPrefix(r.URL.Path, "/hooks/registry") {
		d.fromRegistry, held, to = append(d.fromRegistry, delivery), d.holdsRegistry, d.registry
	} else {
		d.fromGit, held = append(d.fromGit, delivery), d.holdsGit
	}
	d.mu.Unlock()
	if held {
		rw.WriteHeader(http.StatusAccepted)
		return
	}
	to.ServeHTTP(rw, r)
}

// HoldGit keeps what the Git host sends from now on, or hands it on again. What
// was kept is told by [Door.Tell], whenever and in whatever order.
func (d *Door) HoldGit(hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holdsGit = hold
}

// HoldRegistry does so with what the registry sends.
func (d *Door) HoldRegistry(hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holdsRegistry = hold
}

// FromGit are the deliveries of the Git host, the oldest first.
func (d *Door) FromGit() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Delivery(nil), d.fromGit...)
}

// FromRegistry are the deliveries that the registry sent, tries that failed
// included, the oldest first.
func (d *Door) FromRegistry() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Delivery(nil), d.fromRegistry...)
}

// Tell sends a delivery, or sends it again, and gives the answer's status.
func (d *Door) Tell(ctx context.Context, delivery Delivery) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+delivery.Path, bytes.NewReader(delivery.Body))
	if err != nil {
		return 0, "", fmt.Errorf("tell again: %w", err)
	}
	req.Header = delivery.Header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("tell again: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", fmt.Errorf("tell again: %w", err)
	}
	return res.StatusCode, string(answer), nil
}

// ToldOf errs until deliveries tell of each digest.
func ToldOf(deliveries []Delivery, digests []string) error {
	var all bytes.Buffer
	for _, d := range deliveries {
		all.Write(d.Body)
	}
	for _, digest := range digests {
		if !bytes.Contains(all.Bytes(), []byte(digest)) {
			return fmt.Errorf("%s is not told of", digest)
		}
	}
	return nil
}
