package promote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/service"
)

// guest is what another repository has for one, read.
type guest struct {
	from         string // its key
	revision     uint64 // in Heads
	applications []guestApplication
	rules        []*Rule
	ruled        string // changes when the rules may
	faults       []error
}

// guestApplication is an application of a cluster that a guest brings.
type guestApplication struct {
	cluster string
	found
}

// lending is how repositories get at each other's parcels.
type lending struct {
	keys []string // of all repositories, sorted
	// from says of which other repositories each takes documents, by its key.
	from map[string]api.Patterns
	// lies gives what lies there by one repository for another one, and its revision.
	lies func(from, to string) (data []byte, revision uint64, ok bool)

	mu       sync.Mutex
	unpacked map[string]guest // by lender and borrower
}

func newLending(lies func(from, to string) ([]byte, uint64, bool)) *lending {
	return &lending{lies: lies, from: map[string]api.Patterns{}, unpacked: map[string]guest{}}
}

// add takes a repository of the config.
func (l *lending) add(name events.GitRepository, c service.Repository) error {
	key := Key(name, c.Branch)
	l.keys = append(l.keys, key)
	slices.Sort(l.keys)
	var err error
	if l.from[key], err = api.ParsePatterns(c.DocumentsFrom); err != nil {
		return fmt.Errorf("documentsFrom of %s: %w", key, err)
	}
	return nil
}

// takes says whether a repository's branch takes documents from another one, or from
// another branch of its own.
func (l *lending) takes(to string, from events.GitRepository) bool {
	return l != nil && l.from[to].Match(string(from))
}

// lentKey is where what one repository has for another one lies among the heads.
func lentKey(from, to string) string { return from + " " + to }

// known says whether a branch is one of the config's.
func (l *lending) known(key string) bool {
	if l == nil {
		return false
	}
	_, there := l.from[key]
	return there
}

// several says that there is somebody to lend to.
func (l *lending) several() bool { return l != nil && len(l.keys) > 1 }

// to gives what the others have for a repository, as this replica knows it.
func (l *lending) to(key string) []guest {
	if !l.several() {
		return nil
	}
	var all []guest
	for _, from := range l.keys {
		if name, _, _ := strings.Cut(from, "@"); from == key || !l.takes(key, events.GitRepository(name)) {
			continue
		}
		if data, revision, ok := l.lies(from, key); ok {
			all = append(all, l.unpack(from, key, data, revision))
		}
	}
	return all
}

// unpack reads a parcel, once.
func (l *lending) unpack(from, to string, data []byte, revision uint64) guest {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := lentKey(from, to)
	g, ok := l.unpacked[key]
	if !ok || g.revision != revision {
		g = newGuest(from, data)
		g.revision = revision
		l.unpacked[key] = g
	}
	return g
}

func newGuest(from string, data []byte) guest {
	g := guest{from: from}
	p, err := unpack(data)
	if err != nil {
		g.faults = append(g.faults, fmt.Errorf("what %s has for us: %w", from, err))
		return g
	}
	g.ruled = p.ruled
	for _, d := range p.documents {
		docs, err := d.read()
		if err != nil {
			g.faults = append(g.faults, fmt.Errorf("an application that %s has for us: %w", from, err))
		}
		for _, f := range docs {
			f.where = d.Where + " of " + from
			g.applications = append(g.applications, guestApplication{d.Cluster, f})
		}
	}
	if g.rules, err = loadRules(p.files, p.policies); err != nil {
		g.faults = append(g.faults, fmt.Errorf("policies of %s: %w", from, err))
	}
	for _, rule := range g.rules {
		rule.Where += " of " + from
	}
	return g
}

// revisions tell which guests there are.
func revisions(guests []guest) map[string]uint64 {
	all := map[string]uint64{}
	for _, g := range guests {
		all[g.from] = g.revision
	}
	return all
}

// lend tells the other repositories what a state has for them, and has each decided on
// that hasn't been since. The repository is the caller's work.
func (all *Repos) lend(ctx context.Context, r *Repository, s *State) error {
	if !all.lending.several() {
		return nil
	}
	if err := all.Heads.CatchUp(ctx); err != nil {
		return err
	}
	for _, to := range all.lending.keys {
		if to == r.Key {
			continue
		}
		switch err := all.lendTo(ctx, r, s, to); {
		case errors.Is(err, bus.ErrTooLarge): // it holds up nothing else
			all.log.ErrorContext(ctx, "what a repository has for another one is too large for a message of the bus: what was told before counts",
				"repository", r.Key, "for", to, "applications", len(s.lends[to]), "error", err)
		case err != nil:
			return fmt.Errorf("tell %s of what %s has for it: %w", to, r.Key, err)
		}
	}
	return nil
}

func (all *Repos) lendTo(ctx context.Context, r *Repository, s *State, to string) error {
	key := lentKey(r.Key, to)
	known, ok := all.Heads.Of(key)
	if !ok && len(s.lends[to]) == 0 {
		return nil
	}
	documents := s.lends[to]
	if s.partial && ok {
		documents = slices.Concat(documents, s.unread(known.Value.Lends))
	}
	data, err := r.loader.parcel(s, documents)
	if err != nil {
		return err
	}
	if !ok || !bytes.Equal(known.Value.Lends, data) {
		if known, err = all.Heads.Write(ctx, key, Head{Lends: data}, known.Revision); err != nil {
			return err
		}
	}
	if head, _ := all.Heads.Of(to); head.Value.Guests[r.Key] == known.Revision {
		return nil
	}
	return all.queue.Put(ctx, to, head)
}

// parcel is what a state has for another repository, to which it lends documents.
func (l *loader) parcel(s *State, documents []lentDocument) ([]byte, error) {
	if len(documents) == 0 {
		return pack(nil, nil, nil)
	}
	return pack(documents, l.config.Policies, s.policies)
}

// unread are the documents of a parcel that a state lacks, which can't be read whole: they
// may be in what can't.
func (s *State) unread(data []byte) (all []lentDocument) {
	p, err := unpack(data)
	if err != nil {
		return nil
	}
	for _, d := range p.documents {
		if name, ok := d.name(); ok && s.Applications[name] == nil && !slices.Contains(s.away, name) {
			all = append(all, d)
		}
	}
	return all
}

// welcome takes the applications that guests bring, and gives their rules, which come
// before the repository's own.
func (b *builder) welcome(ctx context.Context, guests []guest) []*Rule {
	var rules []*Rule
	for _, g := range guests {
		b.s.Problems = append(b.s.Problems, g.faults...)
		b.brought = map[events.Application]bool{}
		for _, a := range g.applications {
			b.add(ctx, a.cluster, a.found, 0)
		}
		for _, rule := range g.rules {
			theirs := *rule
			theirs.only = b.brought
			rules = append(rules, &theirs)
		}
		b.brought = nil
	}
	return rules
}
