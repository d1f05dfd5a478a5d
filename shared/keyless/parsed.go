package keyless

import (
	"crypto/sha256"
	"sync"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/slipway-cd/slipway/shared/api"
)

// Parsed keeps what trusted roots came to, for who asks often by the same ones.
// The zero value is ready; it is safe for concurrent use.
type Parsed struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*root.TrustedRoot
}

// mostParsed bounds what is kept; one takes about 50 kB.
const mostParsed = 64

// Trust is [New].
func (p *Parsed) Trust(name string, roots []byte, identities []api.Identity) (*Trust, error) {
	digest := sha256.Sum256(roots)
	r, known := p.get(digest)
	if !known {
		var err error
		if r, err = parseRoots(name, roots); err != nil {
			return nil, err
		}
		p.put(digest, r)
	}
	return trust(r, digest, identities)
}

func (p *Parsed) get(digest [sha256.Size]byte) (*root.TrustedRoot, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, known := p.of[digest]
	return r, known
}

func (p *Parsed) put(digest [sha256.Size]byte, r *root.TrustedRoot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil || len(p.of) >= mostParsed {
		p.of = map[[sha256.Size]byte]*root.TrustedRoot{}
	}
	p.of[digest] = r
}
