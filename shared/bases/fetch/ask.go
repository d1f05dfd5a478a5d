package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/gate"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// ask brings a base from its host. What may be both is first tried as what it is
// more likely.
func (c *Client) ask(ctx context.Context, q Question, may means, e *entry) (bases.Base, error) {
	ways := []func() (bases.Base, error){}
	if may.file {
		ways = append(ways, func() (bases.Base, error) { return c.askFile(ctx, q, may.repository) })
	}
	if may.repository {
		repository := func() (bases.Base, error) { return c.askRepository(ctx, q, e) }
		if ways = append(ways, repository); q.RepositoryFirst() && may.file {
			ways[0], ways[1] = ways[1], ways[0]
		}
	}
	var first error // or that nobody knows, since the host is away
	for _, way := range ways {
		base, err := way()
		if err == nil || ctx.Err() != nil {
			return base, err
		}
		if first == nil || errors.Is(err, bases.ErrAway) {
			first = err
		}
	}
	return bases.Base{}, first
}

// askRepository fetches a repository's commit.
func (c *Client) askRepository(ctx context.Context, q Question, e *entry) (bases.Base, error) {
	if e.mirror == nil {
		m, err := c.open(ctx, q)
		if err != nil {
			return bases.Base{}, err
		}
		e.mirror = m
	}
	var head *gitrepo.Commit
	err := c.gate.Through(ctx, hostOf(q.Clone), func(ctx context.Context) (err error) {
		head, err = e.mirror.Fetch(ctx)
		return gitError(err)
	})
	if err != nil {
		return bases.Base{}, err
	}
	return bases.Base{Repository: head.FS(), Version: head.Hash()}, nil
}

// open opens a mirror of the revision.
func (c *Client) open(ctx context.Context, q Question) (*gitrepo.Mirror, error) {
	o := gitrepo.Options{URL: q.Clone}
	if q.Config && c.opts.Git != nil {
		own, err := c.opts.Git(q.Clone)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", bases.ErrUnauthorized, err)
		}
		o = own
		o.Branch = ""
	}
	o.Dir = filepath.Join(c.folder(q.key()), "git")
	if o.Revision = q.Revision; q.Exact() {
		o.Revision, o.Commit = "", q.Revision
	}
	m, err := gitrepo.Open(ctx, o)
	switch {
	case err == nil:
		return m, nil
	case strings.HasPrefix(q.Clone, "http"):
		return nil, fmt.Errorf("%w: %w", bases.ErrBad, err)
	}
	return nil, fmt.Errorf("%w: by SSH it is reached with the config's credentials alone: %w", bases.ErrUnauthorized, err)
}

// gitError gives the errors of package bases.
func gitError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, gitrepo.ErrNoRevision), errors.Is(err, gitrepo.ErrNoCommit), errors.Is(err, gitrepo.ErrNoBranch), errors.Is(err, gitrepo.ErrNoRepository):
		return fmt.Errorf("%w: %w", bases.ErrMissing, err)
	case errors.Is(err, gitrepo.ErrUnauthorized), errors.Is(err, gitrepo.ErrHostKey):
		return fmt.Errorf("%w: %w", bases.ErrUnauthorized, err)
	}
	return fmt.Errorf("%w: %w", bases.ErrAway, err)
}

// errAnswer says that a host doesn't work, or that there is no file.
var errAnswer = errors.New("it answers")

// askFile fetches a file. mayElse says that the address may be a repository, for
// which hosts have pages for people and other answers.
func (c *Client) askFile(ctx context.Context, q Question, mayElse bool) (bases.Base, error) {
	var base bases.Base
	err := c.gate.Through(ctx, hostOf(q.File), func(ctx context.Context) error {
		data, page, err := c.get(ctx, q.File)
		switch {
		case err == nil && page && mayElse:
			err = fmt.Errorf("%w: it is a page for people", bases.ErrMissing)
		case errors.Is(err, errAnswer) && mayElse: // the host is there
			err = fmt.Errorf("%w: %w", bases.ErrMissing, err)
		case errors.Is(err, errAnswer):
			err = fmt.Errorf("%w: %w", bases.ErrAway, err)
		}
		sum := sha256.Sum256(data)
		base = bases.Base{Data: data, Version: "sha256:" + hex.EncodeToString(sum[:])}
		return err
	})
	if err != nil {
		return bases.Base{}, err
	}
	c.keep(q, base.Data)
	return base, nil
}

// get asks for a file. It sends no credentials, and by plain http only what began so.
func (c *Client) get(ctx context.Context, address string) (data []byte, page bool, err error) {
	within, cancel := context.WithTimeout(ctx, gate.FileWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, address, nil)
	if err != nil {
		return nil, false, fmt.Errorf("%w: it is no address", bases.ErrBad)
	}
	req.Header.Set("User-Agent", "slipway")
	t := gate.Transport()
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		switch {
		case len(via) > gate.MaxRedirects:
			return errors.New("it redirects too often")
		case to.URL.Scheme != "https" && via[0].URL.Scheme == "https":
			return fmt.Errorf("%w: it redirects to plain %s", bases.ErrBad, to.URL.Scheme)
		}
		return nil
	}}
	res, err := client.Do(req)
	if err != nil {
		return nil, false, failed(ctx, err)
	}
	defer res.Body.Close() // nothing was written
	switch status := res.StatusCode; {
	case status == http.StatusNotFound, status == http.StatusGone:
		return nil, false, fmt.Errorf("%w: its host answers %d", bases.ErrMissing, status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, false, fmt.Errorf("%w: it answers %d", bases.ErrUnauthorized, status)
	case status/100 != 2:
		return nil, false, fmt.Errorf("%w %d", errAnswer, status)
	}
	data, err = io.ReadAll(io.LimitReader(res.Body, c.opts.FileBytes+1))
	if err != nil {
		return nil, false, failed(ctx, err)
	}
	if int64(len(data)) > c.opts.FileBytes {
		return nil, false, fmt.Errorf("%w: it is larger than %d bytes", bases.ErrBad, c.opts.FileBytes)
	}
	return data, strings.HasPrefix(res.Header.Get("Content-Type"), "text/html"), nil
}

// failed is why there was no answer. An address that a server redirected to may have
// a secret in it, and is not told.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, bases.ErrBad) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: it takes too long", bases.ErrAway)
	}
	return fmt.Errorf("%w: %w", bases.ErrAway, err)
}

// hostOf is whom a call goes to.
func hostOf(address string) string {
	if name, err := events.ParseGitRepository(address, nil); err == nil {
		address = string(name)
	} else if u, err := url.Parse(address); err == nil {
		address = u.Host
	}
	host, _, _ := strings.Cut(address, "/")
	return strings.ToLower(host)
}

// fileName is what a file is called in its entry's folder.
const fileName = "file"

// keep has a file for after a restart. Without room it is brought again then.
func (c *Client) keep(q Question, data []byte) {
	dir := c.folder(q.key())
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	at := filepath.Join(dir, fileName)
	if os.WriteFile(at+".partly", data, 0o600) == nil {
		_ = os.Rename(at+".partly", at)
	}
}

// before gives what an earlier process brought.
func (c *Client) before(ctx context.Context, q Question, may means, e *entry) (bases.Base, bool) {
	if may.file {
		if data, err := os.ReadFile(filepath.Join(c.folder(q.key()), fileName)); err == nil {
			sum := sha256.Sum256(data)
			return bases.Base{Data: data, Version: "sha256:" + hex.EncodeToString(sum[:])}, true
		}
	}
	if _, err := os.Stat(filepath.Join(c.folder(q.key()), "git")); err != nil || !may.repository {
		return bases.Base{}, false
	}
	if e.mirror == nil {
		m, err := c.open(ctx, q)
		if err != nil {
			return bases.Base{}, false
		}
		e.mirror = m
	}
	if head := e.mirror.Head(); head != nil {
		return bases.Base{Repository: head.FS(), Version: head.Hash()}, true
	}
	return bases.Base{}, false
}

// tidy removes an entry's folder.
func (c *Client) tidy(key string) { _ = os.RemoveAll(c.folder(key)) }
