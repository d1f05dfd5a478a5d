package promote

import "context"

// Deciding gives a function that decides on items as the worker does, at the
// head that the repository was last worked on, and says how many it decided.
func (d *Deployer) Deciding(key string, items ...string) func() int {
	r := d.Repos.byKey[key]
	state, asked := r.State(), readItems(items)
	return func() int { return len(d.decide(context.Background(), r, state, asked, nil)) }
}
