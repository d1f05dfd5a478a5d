package keyless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/slipway-cd/slipway/shared/api"
)

// Sigstore is whose roots count where nobody has named others. It is safe for
// concurrent use.
type Sigstore struct {
	opts Options
	turn chan struct{} // one asks at a time

	mu    sync.Mutex
	roots []byte    // as they were last
	until time.Time // when they are asked for again
}

// Options say where a Sigstore's trusted root is. Without any it is that of the
// public one.
type Options struct {
	// File has the trusted root; empty: a TUF repository has it.
	File string
	// URL is the TUF repository's; empty: the public Sigstore's.
	URL string
	// Root is the file with the root.json by which that one is believed at first;
	// empty: the public Sigstore's, as sigstore-go brings it.
	Root string
	// Dir keeps what the repository said, so that it needn't be reachable at each
	// start; empty: nothing is kept.
	Dir string
}

// How long a trusted root counts. Sigstore's own repository signs its timestamp
// for a week, and what is kept counts no longer.
const (
	rootsFresh   = 24 * time.Hour
	rootsRetry   = 15 * time.Minute
	rootsTimeout = 10 * time.Second
)

const rootsTarget = "trusted_root.json"

// ErrNoRoots says that the trusted root can't be had now.
var ErrNoRoots = errors.New("Sigstore's trusted root can't be had") //nolint:staticcheck // a name

// NewSigstore asks nobody yet.
func NewSigstore(o Options) *Sigstore { return &Sigstore{opts: o, turn: make(chan struct{}, 1)} }

// Trust trusts the identities by the roots of now. It errs with [ErrNoRoots].
func (s *Sigstore) Trust(ctx context.Context, identities []api.Identity) (*Trust, error) {
	name, text, err := s.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRoots, err)
	}
	t, err := New(name, text, identities)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRoots, err)
	}
	return t, nil
}

func (s *Sigstore) now(ctx context.Context) (name string, text []byte, err error) {
	if s.opts.File != "" {
		text, err = os.ReadFile(s.opts.File)
		return s.opts.File, text, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	repository := s.repository()
	if text, fresh := s.known(); fresh {
		return repository, text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, rootsTimeout)
	defer cancel()
	text, err = s.ask(ctx, false)
	next := rootsFresh
	if err != nil {
		next = rootsRetry
		kept, failed := s.ask(ctx, true)
		if failed != nil {
			return "", nil, fmt.Errorf("ask the TUF repository %s: %w: where it can't be reached, name a file with a trusted root in sigstore.roots of the config", repository, err)
		}
		text = kept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots, s.until = text, time.Now().Add(next)
	return repository, text, nil
}

func (s *Sigstore) repository() string {
	if s.opts.URL != "" {
		return s.opts.URL
	}
	return tuf.DefaultMirror
}

func (s *Sigstore) known() (text []byte, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roots, s.roots != nil && time.Now().Before(s.until)
}

// ask asks the repository, or only what was kept of it while that hasn't
// expired.
func (s *Sigstore) ask(ctx context.Context, kept bool) ([]byte, error) {
	o := &tuf.Options{
		Root: tuf.DefaultRoot(), RepositoryBaseURL: s.repository(), CachePath: s.opts.Dir, DisableLocalCache: s.opts.Dir == "",
		ForceCache: kept, Fetcher: fetcher{ctx},
	}
	if s.opts.Root != "" {
		var err error
		if o.Root, err = os.ReadFile(s.opts.Root); err != nil {
			return nil, err
		}
	}
	if kept {
		o.Fetcher = nobody{}
	}
	client, err := tuf.New(o)
	if err != nil {
		return nil, err
	}
	return client.GetTarget(rootsTarget)
}

// fetcher has go-tuf's files fetched while a context lasts.
type fetcher struct{ ctx context.Context }

// DownloadFile is go-tuf's: a file of at most so many bytes.
func (f fetcher) DownloadFile(address string, most int64, _ time.Duration) ([]byte, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "slipway")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: address}
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && int64(len(data)) > most {
		err = &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s has more than %d bytes", address, most)}
	}
	return data, err
}

// nobody is asked where only what was kept counts.
type nobody struct{}

// DownloadFile is go-tuf's.
func (nobody) DownloadFile(address string, _ int64, _ time.Duration) ([]byte, error) {
	return nil, fmt.Errorf("%s isn't asked", address)
}
