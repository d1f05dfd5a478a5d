package pullrequest

import (
	"context"
	"net/http"
)

// githubLike are the calls that GitHub's API and those modelled on it have in
// common; P is a pull request in the host's words.
type githubLike[P interface{ pull() (pull, error) }] struct {
	c             *client
	pulls, issues string // paths; a pull request is an issue, too
	// label adds labels, and makes them where they are missing.
	label func(ctx context.Context, p pull, labels []string) error
}

func (g githubLike[P]) get(ctx context.Context, n int64) (pull, error) {
	var p P
	if err := g.c.call(ctx, http.MethodGet, g.pulls+"/"+number(n), nil, nil, &p); err != nil {
		return pull{}, err
	}
	return p.pull()
}

func (g githubLike[P]) create(ctx context.Context, r Request) (pull, error) {
	var made P
	err := g.c.call(ctx, http.MethodPost, g.pulls, nil, map[string]any{
		"title": r.Title, "body": r.Body, "head": r.Head, "base": r.Base,
	}, &made)
	if err != nil {
		return pull{}, err
	}
	p, err := made.pull()
	if err == nil {
		err = g.label(ctx, p, r.Labels)
	}
	return p, err
}

func (g githubLike[P]) edit(ctx context.Context, p pull, r Request) error {
	if !same(p.Title, r.Title) || !same(p.Body, r.Body) {
		err := g.c.call(ctx, http.MethodPatch, g.pulls+"/"+number(p.Number), nil, map[string]any{"title": r.Title, "body": r.Body}, nil)
		if err != nil {
			return err
		}
	}
	return g.label(ctx, p, r.Labels)
}

func (g githubLike[P]) close(ctx context.Context, p pull, comment string) error {
	if comment != "" {
		err := g.c.call(ctx, http.MethodPost, g.issues+"/"+number(p.Number)+"/comments", nil, map[string]any{"body": comment}, nil)
		if err != nil {
			return err
		}
	}
	return g.c.call(ctx, http.MethodPatch, g.pulls+"/"+number(p.Number), nil, map[string]any{"state": "closed"}, nil)
}
