package promote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Heads are the commits of the repositories that were decided on last, by the
// repositories' keys, in a bucket that every replica watches. A repository is
// the work of one replica at a time; the others know from here whether what they
// have read of it is old, and of what its rules speak.
type Heads struct{ *bus.Kept[Head] }

// Head is what the others have to know of a repository.
type Head struct {
	Commit string  `json:"commit"`
	Speaks []Speak `json:"speaks,omitempty"`
	// Uses are the image repositories that its applications use.
	Uses imageSet `json:"uses"`
	// Guests are the revisions of what other repositories had for it when it was decided
	// on, by their keys.
	Guests map[string]uint64 `json:"guests,omitempty"`
	// Lends is a parcel, which is in an entry of its own.
	Lends []byte `json:"lends,omitempty"`
}

// is says whether a head is that of a state.
func (h Head) is(s *State) bool {
	return h.Commit == s.Head.Hash() && maps.Equal(h.Guests, revisions(s.guests))
}

// Speak is of what one rule speaks.
type Speak struct {
	Images []string  `json:"images,omitempty"`
	Track  api.Track `json:"track"`
	// Waits says that it looks at what other applications run.
	Waits bool `json:"waits,omitempty"`
	// Broken says that it can't be read, and may speak of anything.
	Broken bool `json:"broken,omitempty"`

	images api.Patterns
}

// OpenHeads opens the bucket. [Heads.Run] must run beside it.
func OpenHeads(ctx context.Context, b *bus.Bus) (*Heads, error) {
	kept, err := bus.Keep[Head](ctx, b, "slipway-heads", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open the repositories' heads: %w", err)
	}
	return &Heads{kept}, nil
}

// UnmarshalJSON reads the patterns, too. Those of a newer version may speak of
// anything.
func (s *Speak) UnmarshalJSON(data []byte) error {
	type plain Speak
	if err := json.Unmarshal(data, (*plain)(s)); err != nil {
		return err
	}
	var err error
	if s.images, err = api.ParsePatterns(s.Images); err != nil {
		s.Broken = true
	}
	return nil
}

func (r *Rule) speaks() Speak {
	if r.broken != nil {
		return Speak{Broken: true}
	}
	return Speak{Images: r.Images, Track: r.Track, Waits: r.After != nil || r.Track.Follow != nil, images: r.images}
}

// of says whether it may speak of an image repository.
func (s Speak) of(image events.ImageRepository) bool {
	return s.Broken || s.images.Match(image.String())
}

// dates says whether the time is compared of the image with that tag.
func (s Speak) dates(image events.Image) bool {
	if s.Broken || !s.images.Match(image.Repository.String()) {
		return false
	}
	undated, err := policy.Undated(s.Track, policy.Question{Tags: []policy.Tag{{Name: image.Tag}}})
	return err == nil && len(undated) > 0
}

// head is what the others have to know of a state.
func (s *State) head() Head {
	h := Head{Commit: s.Head.Hash(), Uses: setOf(s.Repositories()), Guests: revisions(s.guests)}
	for _, r := range s.Rules {
		h.Speaks = append(h.Speaks, r.speaks())
	}
	return h
}

// Record tells the others of a state, unless they know. The repository is the
// caller's work.
func (h *Heads) Record(ctx context.Context, r *Repository, s *State) error {
	if known, ok := h.Of(r.Key); ok && known.Value.is(s) {
		return nil
	}
	return h.write(ctx, r, s.head())
}

func (h *Heads) write(ctx context.Context, r *Repository, now Head) error {
	err := unlessChanged(func() error {
		known, _, err := h.Read(ctx, r.Key)
		if err == nil {
			_, err = h.Write(ctx, r.Key, now, known.Revision)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("tell the head of %s: %w", r.Key, err)
	}
	return nil
}

// Foretell tells the others of the rules and images of a state before anything is
// decided by them, where they are others than before: what arrives from then on has the
// repository decided on once more. It gives the images that nothing in the repository
// used before. One that arrives at this moment may be known to one replica, and that it
// is used to another: who decides on it once more after a while has both.
func (h *Heads) Foretell(ctx context.Context, r *Repository, s *State) (added []events.ImageRepository, err error) {
	known, ok := h.Of(r.Key)
	if r.foretold == s && known.Value.is(s) {
		return nil, nil
	}
	if now := s.head(); !ok || !sameSpeaks(known.Value.Speaks, now.Speaks) || !bytes.Equal(known.Value.Uses, now.Uses) {
		if err := h.write(ctx, r, now); err != nil {
			return nil, err
		}
		if ok {
			added = slices.DeleteFunc(s.Repositories(), known.Value.Uses.has)
		}
	}
	r.foretold = s
	return added, nil
}

// heard is when every replica has heard of what one has told, but for those that are cut
// off.
const heard = 5 * time.Second

// foretell tells the others of a state, with what it has for them, and has what is new in it
// decided on again when they have heard.
func (d *Deployer) foretell(ctx context.Context, r *Repository, s *State) error {
	added, err := d.Repos.Heads.Foretell(ctx, r, s)
	if err != nil {
		return err
	}
	for _, image := range added {
		for _, app := range s.Using(image) {
			if err := d.Due.At(ctx, r.Key, pair{app.Name, image}.item(), d.now().Add(heard)); err != nil {
				return err
			}
		}
	}
	return d.Repos.lend(ctx, r, s)
}

func sameSpeaks(a, b []Speak) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// may says whether some rule of a repository, as this replica has read it or as
// another has, is one of those; true where nobody has.
func (all *Repos) may(r *Repository, is func(Speak) bool) bool {
	s, current := all.current(r)
	if s != nil && slices.ContainsFunc(s.Rules, func(r *Rule) bool { return is(r.speaks()) }) {
		return true
	}
	if current {
		return false
	}
	known, ok := all.Heads.Of(r.Key)
	if !ok {
		return true
	}
	return slices.ContainsFunc(known.Value.Speaks, is)
}

// uses says whether an application of a repository uses an image, as this replica has
// read it or as another has; true where nobody has.
func (all *Repos) uses(r *Repository, image events.ImageRepository) bool {
	s, current := all.current(r)
	if s != nil && len(s.Using(image)) > 0 {
		return true
	}
	if current {
		return false
	}
	known, ok := all.Heads.Of(r.Key)
	return !ok || known.Value.Uses.has(image)
}

// current gives what this replica has read of a repository last, or nil, and
// whether no replica has told of another commit since.
func (all *Repos) current(r *Repository) (*State, bool) {
	known, ok := all.Heads.Of(r.Key)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.newest()
	return s, s != nil && (!ok || known.Value.is(s) || s == r.caught && known.Revision == r.behind)
}

// caughtUp reads a repository unless what was read is current. A host that
// doesn't answer is not asked by all who want to know. What its work has read is
// left alone: that is decided on, this is not.
func (all *Repos) caughtUp(ctx context.Context, r *Repository) error {
	const rest = 10 * time.Second
	r.catching.Lock()
	defer r.catching.Unlock()
	known, _ := all.Heads.Of(r.Key)
	switch _, current := all.current(r); {
	case current:
		return nil
	case r.fault != nil && time.Since(r.faulted) < rest:
		return r.fault
	}
	err := r.catchUp(ctx, known.Value.Commit, known.Revision)
	if ctx.Err() == nil {
		r.fault, r.faulted = err, time.Now()
	}
	return err
}

// catchUp reads the head, which is not behind the one of a revision in Heads.
func (r *Repository) catchUp(ctx context.Context, told string, behind uint64) error {
	c, err := r.mirror.FetchTold(ctx, told)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.newest()
	if !r.loader.current(s, c.Hash(), time.Now()) {
		if s, _, err = r.read(ctx, s, c); err != nil {
			return err
		}
	}
	r.caught, r.behind = s, behind
	return nil
}

// Catch reads the repositories of which another replica has decided on another
// commit than this one has read. The error names those that can't be read; the
// others are.
func (all *Repos) Catch(ctx context.Context) error {
	if err := all.Heads.CatchUp(ctx); err != nil {
		return err
	}
	const atOnce = 8
	var mu sync.Mutex
	var faults []error
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, r := range all.byKey {
		if _, current := all.current(r); current {
			continue
		}
		group.Go(func() error {
			if err := all.caughtUp(ctx, r); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, fmt.Errorf("read %s: %w", r.Key, err))
			}
			return nil
		})
	}
	_ = group.Wait() // the faults are all
	return errors.Join(faults...)
}
