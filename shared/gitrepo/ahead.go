package gitrepo

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// ahead is a fetch of what the branch is said to be at, which is asked for while the host is
// asked where the branch is: one way to the host and back less. What comes counts only
// when the host says the same.
type ahead struct {
	want   plumbing.Hash
	req    *packp.UploadPackRequest
	cancel context.CancelFunc
	done   chan struct{} // closed when the host has answered with what follows
	res    *packp.UploadPackResponse
	err    error
}

// askAhead asks for a commit that we don't have; nil where that can't be done before the
// host has spoken, or would be of no use.
func (m *Mirror) askAhead(ctx context.Context, told string) *ahead {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := plumbing.NewHash(told)
	if !plumbing.IsHash(told) || m.opts.Branch == "" || m.capabilities == nil || m.head.IsZero() || m.fetches >= maxPacks ||
		m.store.HasEncodedObject(want) == nil {
		return nil
	}
	req, err := m.request(m.capabilities, []plumbing.Hash{want}, 0)
	if err != nil {
		return nil
	}
	s, err := m.host.aheadSession(ctx)
	if err != nil || s == nil {
		return nil
	}
	a := &ahead{want: want, req: req, done: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		a.res, a.err = s.UploadPack(ctx, req)
	}()
	return a
}

// receive takes what was asked for ahead, where that is what is wanted and has come whole. The
// mutex is held.
func (a *ahead) receive(m *Mirror, want plumbing.Hash) bool {
	if a == nil || a.want != want {
		return false
	}
	<-a.done
	return a.err == nil && m.receive(a.req, a.res, 0) == nil && m.store.HasEncodedObject(want) == nil
}

// end gives up what nobody has taken.
func (a *ahead) end() {
	if a == nil {
		return
	}
	a.cancel()
	if <-a.done; a.err == nil {
		_ = a.res.Close()
	}
}
