package promote

import (
	"context"
	"encoding/json"
	"time"
)

// Blocked says why nothing can be decided for an application.
func (all *Repos) Blocked(ctx context.Context, name string) error {
	_, _, app, err := all.application(ctx, name)
	if err != nil {
		return err
	}
	return app.Blocked
}

// Deciding gives a function that decides on items as the worker does, at the
// head that the repository was last worked on, and says how many it decided.
func (d *Deployer) Deciding(key string, items ...string) func() int {
	r := d.Repos.byKey[key]
	state, asked := r.worked(), readItems(items)
	return func() int { return len(d.decide(context.Background(), r, state, asked, nil)) }
}

// AgainAt is when an item of a repository's work is due; zero for never.
func (d *Due) AgainAt(ctx context.Context, key, item string) time.Time {
	e, err := d.bucket.Get(ctx, due{Key: key, Item: item}.id())
	if err != nil {
		return time.Time{}
	}
	var entry due
	_ = json.Unmarshal(e.Value, &entry) // zero is never
	return entry.At
}
