package keyless

import (
	"cmp"
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
	"github.com/slipway-cd/slipway/shared/service"
)

// Sigstore is whose roots count where nobody has named others. It is safe for
// concurrent use.
type Sigstore struct {
	opts   Options
	parsed Parsed

	mu     sync.Mutex
	last   answer
	asking chan struct{} // closed when who asks now has been answered; nil: nobody asks
}

// answer is what the repository said last; the zero one: nobody has asked.
type answer struct {
	roots []byte
	err   error
	until time.Time // when it is asked again
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
	rootsStale   = 24 * time.Hour // for so long after that who asks needn't wait
	rootsRetry   = 15 * time.Minute
	rootsRefused = 30 * time.Second // with nothing at all: who asks is told at once
	rootsTimeout = 10 * time.Second
)

const rootsTarget = "trusted_root.json"

// ErrNoRoots says that the trusted root can't be had now.
var ErrNoRoots = errors.New("Sigstore's trusted root can't be had") //nolint:staticcheck // a name

// NewSigstore asks nobody yet.
func NewSigstore(o Options) *Sigstore { return &Sigstore{opts: o} }

// Configured is the Sigstore of a config; the folder keeps what its repository
// said.
func Configured(s service.Sigstore, dir string) *Sigstore {
	return NewSigstore(Options{File: s.Roots, URL: s.TUF, Root: s.Root, Dir: dir})
}

// Trust trusts the identities by the roots of now. It errs with [ErrNoRoots].
func (s *Sigstore) Trust(ctx context.Context, identities []api.Identity) (*Trust, error) {
	for {
		a, known, asked := s.known(ctx)
		if known {
			return s.by(a, identities)
		}
		select {
		case <-asked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Known is Trust for who may not wait; ok is false where the repository has to be
// asked first, which is begun.
func (s *Sigstore) Known(ctx context.Context, identities []api.Identity) (t *Trust, ok bool, err error) {
	a, known, _ := s.known(ctx)
	if !known {
		return nil, false, nil
	}
	t, err = s.by(a, identities)
	return t, true, err
}

func (s *Sigstore) by(a answer, identities []api.Identity) (*Trust, error) {
	err := a.err
	if err == nil {
		var t *Trust
		if t, err = s.parsed.Trust(cmp.Or(s.opts.File, s.repository()), a.roots, identities); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrNoRoots, err)
}

// known is what the file has, or what the repository said, while that counts. Where it must be asked
// again that is done beside: who asked may leave, and the next finds the answer.
// Where nothing is known, asked is closed after that.
func (s *Sigstore) known(ctx context.Context) (a answer, known bool, asked <-chan struct{}) {
	if s.opts.File != "" {
		a.roots, a.err = os.ReadFile(s.opts.File)
		return a, true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.last.until) {
		return s.last, true, nil
	}
	if s.asking == nil {
		done := make(chan struct{})
		s.asking = done
		ctx := context.WithoutCancel(ctx)
		go func() {
			defer close(done)
			a := s.refreshed(ctx)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.last, s.asking = a, nil
		}()
	}
	return s.last, s.last.roots != nil && now.Before(s.last.until.Add(rootsStale)), s.asking
}

// refreshed is what the repository says now, or what was kept of it.
func (s *Sigstore) refreshed(ctx context.Context) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, rootsTimeout)
	defer cancel()
	next := rootsFresh
	if a.roots, a.err = s.ask(ctx, false); a.err != nil {
		next = rootsRetry
		kept, err := s.ask(ctx, true)
		if err == nil {
			a = answer{roots: kept}
		} else {
			next = rootsRefused
			a = answer{err: fmt.Errorf("ask the TUF repository %s: %w: where it can't be reached, name a file with a trusted root in sigstore.roots of the config", s.repository(), a.err)}
		}
	}
	a.until = time.Now().Add(next)
	return a
}

func (s *Sigstore) repository() string {
	if s.opts.URL != "" {
		return s.opts.URL
	}
	return tuf.DefaultMirror
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
