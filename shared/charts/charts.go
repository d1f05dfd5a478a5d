// Package charts is what is known of Helm charts that lie outside of the config
// repo: what brings them, and how their archives and a chart repository's index
// are read. It calls nobody; package fetch does.
package charts

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/slipway-cd/slipway/shared/api"
)

// MaxPacked bounds an archive, in bytes.
const MaxPacked = 20 << 20

var (
	// ErrNotAllowed says that a Project doesn't allow the chart.
	ErrNotAllowed = errors.New("it is not allowed")
	// ErrMissing says that there is no such chart or version, or none in the
	// range: one may come.
	ErrMissing = errors.New("it is not in the chart repository")
	// ErrUnauthorized says that the repository did not accept the credentials,
	// or wants some.
	ErrUnauthorized = errors.New("the chart repository refused the credentials")
	// ErrAway says that the repository can't be reached, or doesn't work.
	ErrAway = errors.New("the chart repository can't be reached")
	// ErrDigest says that an archive is another than its repository says.
	ErrDigest = errors.New("the archive is another than the index says")
	// ErrUntrusted says that nobody who is trusted has signed the chart: one may
	// do so yet.
	ErrUntrusted = errors.New("nobody who is trusted has signed it")
	// ErrBad says that what is there is no chart, or none that is taken: it is
	// of no use to ask again.
	ErrBad = errors.New("it is not a chart that can be used")
)

// Archive is a chart as it was packed.
type Archive struct {
	Name, Version string
	Digest        string // sha256:…, of Data
	Data          []byte
}

// String is such as "redis 1.2.3 sha256:…".
func (a Archive) String() string { return a.Name + " " + a.Version + " " + a.Digest }

// Source brings charts. Errors are one of this package's, or a context's.
type Source interface {
	Chart(ctx context.Context, ref api.ChartRef) (Archive, error)
}

// Pin gives a source that answers each question once by another, and then the
// same way.
func Pin(s Source) Source {
	if s == nil {
		return nil
	}
	if p, already := s.(*pinned); already {
		return p
	}
	return &pinned{source: s, known: map[api.ChartRef]Archive{}}
}

type pinned struct {
	source Source

	mu    sync.Mutex
	known map[api.ChartRef]Archive
}

func (p *pinned) Chart(ctx context.Context, ref api.ChartRef) (Archive, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, known := p.known[ref]; known {
		return a, nil
	}
	a, err := p.source.Chart(ctx, ref)
	if err == nil {
		p.known[ref] = a
	}
	return a, err
}

// One is a source that has one chart, which was brought before.
type One struct {
	Ref     api.ChartRef
	Archive Archive
}

// Chart gives it.
func (o One) Chart(_ context.Context, ref api.ChartRef) (Archive, error) {
	if ref != o.Ref {
		return Archive{}, fmt.Errorf("chart %s: %w", ref, ErrMissing)
	}
	return o.Archive, nil
}
