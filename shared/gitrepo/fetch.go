package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// Fetch asks the host where the branch or tag is and brings what is new. The first
// fetch brings one commit with its files, a later one only new objects.
func (m *Mirror) Fetch(ctx context.Context) (*Commit, error) { return m.FetchTold(ctx, "") }

// FetchTold is [Mirror.Fetch] for who was told which commit the branch is at. That is a
// word that saves time where the host says the same, and else counts for nothing.
func (m *Mirror) FetchTold(ctx context.Context, told string) (*Commit, error) {
	m.network.Lock()
	defer m.network.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	m.mu.Lock()
	suspect := m.suspect
	m.mu.Unlock()
	var err error
	if !suspect {
		var c *Commit
		if c, err = m.fetch(ctx, told); err == nil || ctx.Err() != nil || !damaged(err) {
			return c, err
		}
	}
	m.mu.Lock()
	wipeErr := m.wipe()
	m.mu.Unlock()
	if wipeErr != nil {
		return nil, errors.Join(err, wipeErr)
	}
	return m.fetch(ctx, "")
}

func (m *Mirror) fetch(ctx context.Context, told string) (*Commit, error) {
	if c := m.pinned(); c != nil {
		return c, nil
	}
	s, err := m.host.fetchSession(ctx)
	if err != nil {
		return nil, m.hostError("connect to", err)
	}
	defer s.Close()
	early := m.askAhead(ctx, told)
	defer early.end()
	at, adv, err := m.remoteHead(ctx, s)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capabilities = adv.Capabilities
	if m.fetches >= maxPacks {
		if err := m.wipe(); err != nil {
			return nil, err
		}
	}
	if m.store.HasEncodedObject(at.want) != nil && !early.receive(m, at.want) {
		depth := 0
		if m.head.IsZero() {
			depth = 1
		}
		if err := m.downloadTarget(ctx, s, adv, at, depth); err != nil {
			return nil, err
		}
	}
	c, err := m.commitOf(at)
	if err != nil {
		return nil, err
	}
	m.shown = true
	return c, m.setHead(at.commit)
}

func (m *Mirror) downloadTarget(ctx context.Context, s fetchSession, adv *packp.AdvRefs, at target, depth int) error {
	if m.opts.Commit != "" {
		return m.downloadCommit(ctx, s, adv, at.want, depth)
	}
	return m.download(ctx, s, adv, []plumbing.Hash{at.want}, depth)
}

// remoteHead reads the host's advertisement.
func (m *Mirror) remoteHead(ctx context.Context, s fetchSession) (target, *packp.AdvRefs, error) {
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return target{}, nil, m.hostError("ask for refs of", err)
	}
	at, err := m.find(adv)
	if err != nil {
		return target{}, nil, m.hostError("look at", err)
	}
	return at, adv, nil
}

// download brings wants and all that they need; depth 0 means whatever is new
// since the head we have, else the number of commits. The mutex is held.
func (m *Mirror) download(ctx context.Context, s fetchSession, adv *packp.AdvRefs, wants []plumbing.Hash, depth int) error {
	req, err := m.request(adv.Capabilities, wants, depth)
	if err != nil {
		return err
	}
	res, err := s.UploadPack(ctx, req)
	if err != nil {
		return m.hostError("fetch from", err)
	}
	return m.receive(req, res, depth)
}

// request asks for wants as download does. The mutex is held.
func (m *Mirror) request(caps *capability.List, wants []plumbing.Hash, depth int) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(caps)
	req.Wants = wants
	shallows, err := m.store.Shallow()
	if err != nil {
		return nil, fmt.Errorf("read shallow commits of mirror: %w: %w", errDamaged, err)
	}
	req.Shallows = shallows
	if !m.head.IsZero() {
		req.Haves = []plumbing.Hash{m.head}
	}
	if depth > 0 {
		req.Depth = packp.DepthCommits(depth)
	}
	if depth > 0 || len(shallows) > 0 {
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, fmt.Errorf("prepare fetch: %w", err)
		}
	}
	return req, nil
}

// receive takes in what the host answers. The mutex is held.
func (m *Mirror) receive(req *packp.UploadPackRequest, res *packp.UploadPackResponse, depth int) error {
	defer res.Close()
	err := packfile.UpdateObjectStorage(m.store, demux(req.Capabilities, res, nil))
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return m.hostError("receive objects from", err)
	}
	// Who dies before this is told of the same again; what is said to be there and isn't
	// would never come.
	if depth > 0 {
		if err := m.store.SetShallow(newShallows(req.Shallows, res)); err != nil {
			return fmt.Errorf("record shallow commits of mirror: %w", err)
		}
	}
	m.fetches++
	return nil
}

// newShallows is what is shallow after the host's answer.
func newShallows(old []plumbing.Hash, res *packp.UploadPackResponse) []plumbing.Hash {
	set := map[plumbing.Hash]bool{}
	for _, h := range old {
		set[h] = true
	}
	for _, h := range res.Shallows {
		set[h] = true
	}
	for _, h := range res.Unshallows {
		delete(set, h)
	}
	all := make([]plumbing.Hash, 0, len(set))
	for h := range set {
		all = append(all, h)
	}
	return all
}

// demux takes the packs out of the side band where one was agreed on; what
// the host says to people goes to words.
func demux(caps *capability.List, r io.Reader, words *bytes.Buffer) io.Reader {
	kind := sideband.Sideband64k
	switch {
	case caps.Supports(capability.Sideband64k):
	case caps.Supports(capability.Sideband):
		kind = sideband.Sideband
	default:
		return r
	}
	d := sideband.NewDemuxer(kind, r)
	if words != nil {
		d.Progress = words
	}
	return d
}

// deeper is by how many commits history is brought, step by step.
var deeper = []int{50, 1000, math.MaxInt32}

func (m *Mirror) deepenTo(ctx context.Context, depth int) error {
	s, err := m.host.fetchSession(ctx)
	if err != nil {
		return m.hostError("connect to", err)
	}
	defer s.Close()
	now, adv, err := m.remoteHead(ctx, s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.downloadTarget(ctx, s, adv, now, depth)
}

// damaged says whether err comes of the mirror rather than of the host.
func damaged(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, object.ErrUnsupportedObject) ||
		errors.Is(err, packfile.ErrReferenceDeltaNotFound)
}
