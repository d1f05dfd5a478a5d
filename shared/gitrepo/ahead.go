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
	answer chan aheadAnswer
}

type aheadAnswer struct {
	res *packp.UploadPackResponse
	err error
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
	a := &ahead{want: want, req: req, answer: make(chan aheadAnswer, 1)}
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		res, err := s.UploadPack(ctx, req)
		a.answer <- aheadAnswer{res, err}
	}()
	return a
}

// receive takes what was asked for ahead, where that is what is wanted and has come whole. The
// mutex is held.
func (a *ahead) receive(m *Mirror, want plumbing.Hash) bool {
	if a == nil || a.want != want {
		return false
	}
	got := <-a.answer
	a.answer <- got
	return got.err == nil && m.receive(a.req, got.res, 0) == nil && m.store.HasEncodedObject(want) == nil
}

// end gives up what nobody has taken.
func (a *ahead) end() {
	if a == nil {
		return
	}
	a.cancel()
	if got := <-a.answer; got.err == nil {
		_ = got.res.Close()
	}
}
