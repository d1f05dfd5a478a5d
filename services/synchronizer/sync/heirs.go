package sync

import (
	"cmp"
	"context"
	"slices"
	"sort"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
)

// claimed names an application that wants an object which a run's no longer has:
// the one to which it goes already, one that had it before, one that the same change
// touches, one that was never rendered, or one that has tried to have it. Where
// there is none, it names one that may, as far as can be known now: an object that it
// is to have must not be deleted because it can't be rendered for a while. The last one
// is the application itself, of a later commit.
func (b *asking) claimed(ctx context.Context, e api.InventoryEntry) (apply.Claim, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	perhaps, object := "", identityOf(b.n.cluster.name, e)
	to, heirs := b.heirs(ctx, e)
	holders := b.apps.holdersOf(object)
	candidates := slices.Concat(holders, b.others(ctx, e.Given), heirs)
	if to != "" {
		candidates = slices.Insert(candidates, 0, to)
	}
	for _, key := range candidates {
		if key == b.n.app.key {
			continue
		}
		if w := b.knows(ctx, key); w != nil && !w.failed && !w.has(object) && b.coming[key] == "" {
			continue
		}
		wants, sure, err := b.wants(ctx, key, object)
		if err != nil {
			return apply.Claim{}, err
		}
		if name := b.cfg.Cluster + "/" + key; wants {
			if name != e.To && slices.Contains(holders, key) { // it doesn't know that it has it no more
				b.apps.wakeups.Add(wakeup{key, ReasonDrift, false})
			}
			return apply.Claim{Name: name, Sure: true, Given: b.given(ctx, e)}, nil
		}
		switch owner := b.coming[key]; {
		case perhaps != "":
		case owner != "": // it says when it has brought it in, or no longer will
			perhaps = b.cfg.Cluster + "/" + owner
		case !sure && (key == to || slices.Contains(heirs, key) || b.sameChange(ctx, key, e)):
			perhaps = b.cfg.Cluster + "/" + key
		}
	}
	if perhaps == "" {
		return b.again(ctx, e, object)
	}
	return apply.Claim{Name: perhaps, Given: b.given(ctx, e)}, nil
}

// again names the run's own application where Git has an object in it again: the others
// were asked by a head that is further than the commit of the run, which gave it up.
func (b *asking) again(ctx context.Context, e api.InventoryEntry, object identity) (apply.Claim, error) {
	if b.n.ending {
		return b.remade(ctx, e, object)
	}
	if b.n.repo == nil || len(b.heard(ctx)) == 1 {
		return apply.Claim{}, nil
	}
	wants, sure, err := b.wants(ctx, b.n.app.key, object)
	if err != nil || !wants {
		return apply.Claim{}, err
	}
	return apply.Claim{Name: b.n.app.name.String(), Sure: sure, Given: b.given(ctx, e)}, nil
}

// remade names the run's own application, which is about to go, where Git has it again with an
// object that went over to another one meanwhile: it is made anew, and has the object as it is.
func (b *asking) remade(ctx context.Context, e api.InventoryEntry, object identity) (apply.Claim, error) {
	u := b.apps.cached(b.n.app.key)
	if e.To == "" || u == nil {
		return apply.Claim{}, nil
	}
	parent, itself := b.ownerOf(u), b.itself(u.GetNamespace(), u.GetName())
	if parent == "" || parent == b.n.app.key {
		return apply.Claim{}, nil
	}
	wants, _, err := b.wants(ctx, parent, itself)
	if err != nil || !wants {
		return apply.Claim{}, err
	}
	item := b.answers[parent].objects[itself]
	if item == nil {
		return apply.Claim{}, nil
	}
	if b.anew == nil {
		meant, err := decode(item.Object)
		if err != nil {
			return apply.Claim{}, err
		}
		b.anew = &answer{application: meant}
		b.anew.objects, _ = b.render(ctx, b.n.app.key, b.anew)
	}
	if b.anew.objects != nil && b.anew.objects[object] == nil {
		return apply.Claim{}, nil
	}
	return apply.Claim{Name: b.n.app.name.String(), Sure: true, Given: e.Given}, nil
}

// given is the last commit at which the run's application had an object that it no
// longer has, as far as its files tell. It is kept with what goes over: the one to
// which it goes may turn out not to want it, or not to be at all, long after the
// change that took it.
func (b *asking) given(ctx context.Context, e api.InventoryEntry) string {
	if e.Given != "" || b.n.repo == nil {
		return e.Given
	}
	if b.since == nil {
		since := b.lastWith(ctx)
		b.since = &since
	}
	return *b.since
}

// lastWith is that commit for what the run itself no longer has.
func (b *asking) lastWith(ctx context.Context) string {
	r, key, head, since := b.n.repo, b.n.app.key, cmp.Or(b.n.head, b.n.commit), ""
	for _, from := range b.before() {
		if from == "" {
			continue // nothing was applied before
		}
		since = from
		if changed, known := r.changes(ctx, from, head); !known || !r.index.knows(key) || r.index.touches(key, changed) {
			break
		}
	}
	if since == "" {
		return ""
	}
	return b.asBefore(ctx, since, head)
}

// heirs gives to which application an object goes over; and those that this one
// owns and that have not got all yet: one that couldn't be rendered may have had
// them in it.
func (b *asking) heirs(ctx context.Context, e api.InventoryEntry) (to string, heirs []string) {
	name, err := events.ParseApplication(e.To)
	if err != nil || name.Cluster != b.cfg.Cluster {
		return "", nil
	}
	to = name.Namespace + "/" + name.Name
	for key := range b.children(ctx, to) {
		if b.coming[key] != "" || b.unsettled(key) {
			heirs = append(heirs, key)
		}
	}
	slices.Sort(heirs)
	return to, heirs
}

// others are the applications that may want what the run's no longer has, which it
// gave up after a commit.
func (b *asking) others(ctx context.Context, given string) []string {
	commits := b.before()
	if given != "" {
		commits = append(commits, given)
	}
	all := b.candidates
	if b.listed == nil {
		b.listed, all = map[string]bool{}, b.apps.dependentsOf(b.n.app.key)
	} else if !slices.ContainsFunc(commits, func(c string) bool { return !b.listed[c] }) {
		return b.candidates
	}
	for _, from := range commits {
		if b.n.repo != nil && !b.listed[from] {
			for _, to := range b.heard(ctx) {
				for _, key := range b.touchedBetween(ctx, b.n.repo, from, to) {
					all, b.touched[key] = append(all, key), true
				}
			}
		}
		b.listed[from] = true
	}
	for at := 0; at < len(all); at++ { // and it grows
		for key := range b.children(ctx, all[at]) {
			// One that was just made may be there before it is noticed.
			if (b.coming[key] != "" || b.apps.get(key) == nil) && !slices.Contains(all, key) {
				all = append(all, key)
			}
		}
	}
	slices.Sort(all)
	b.candidates = slices.Compact(all)
	return b.candidates
}

// before are the commits since which the run's application may have given up what
// it no longer has: a branch that went back differs from what was tried, and perhaps
// not from what was last healthy.
func (b *asking) before() []string {
	return slices.Compact([]string{b.n.lastHealthy, b.n.lastTried})
}

// children are the Applications that are among an application's objects. Those that
// the cluster doesn't have so yet are noted as coming.
func (b *asking) children(ctx context.Context, key string) map[string]bool {
	if w := b.knows(ctx, key); w != nil && len(w.owns) == 0 {
		return nil
	}
	a, err := b.answer(ctx, key)
	if err != nil || a.application == nil {
		return nil // who asks about itself is told
	}
	all, documents := map[string]bool{}, map[string]*apply.Item{}
	for id, item := range a.objects {
		if id.cluster == b.own.name && id.isApplication() {
			child := id.namespace + "/" + id.name
			all[child], documents[child] = true, item
		}
	}
	if len(all) == 0 {
		return all
	}
	behind := b.behind(ctx, a)
	for child, item := range documents {
		switch u := b.apps.cached(child); {
		case u != nil && u.GetDeletionTimestamp() != nil: // it is made anew when it is gone
			b.coming[child] = key
		case !behind:
		case u == nil:
			b.coming[child] = key
		default:
			if application, err := decode(u); err == nil && !asIn(application, item) {
				b.coming[child] = key
			}
		}
	}
	return all
}

// sameChange says whether a change that took an object from the run's application
// touches another one's files, too.
func (b *asking) sameChange(ctx context.Context, key string, e api.InventoryEntry) bool {
	a := b.answers[key]
	if a == nil || !b.touched[key] {
		return false
	}
	given := b.given(ctx, e)
	if given == "" {
		return false
	}
	r := b.n.repo
	return slices.ContainsFunc(b.heard(ctx), func(to string) bool {
		changed, _ := r.changes(ctx, given, to)
		return r.touches(ctx, a.inputs, given, to) || r.index.touches(key, changed)
	})
}

// heard are the commits up to which others may have what the run's application gave
// up: the one that it is of, and the head by which they are asked, at which another
// application may have them than the one to which they went first.
func (b *asking) heard(ctx context.Context) []string {
	all := []string{cmp.Or(b.n.head, b.n.commit)}
	if head, err := b.headOf(ctx, b.n.repo); err == nil && head.Hash() != all[0] {
		all = append(all, head.Hash())
	}
	return all
}

// asBefore is the last commit after from at which the run's application is as it
// was at that one, as far as its files tell.
func (b *asking) asBefore(ctx context.Context, from, head string) string {
	r, key := b.n.repo, b.n.app.key
	line, err := r.between(ctx, from, head)
	if err != nil || !r.index.knows(key) {
		return from
	}
	at := sort.Search(len(line), func(i int) bool {
		changed, known := r.changes(ctx, from, line[i].Hash())
		return !known || r.index.touches(key, changed)
	})
	if at == 0 || at == len(line) { // it is another for another reason
		return from
	}
	return line[at-1].Hash()
}

// touchedBetween are the applications of a repository that may be another at one
// commit than at another: what they have was touched, their spec is new, or this
// replica doesn't know.
func (b *Brain) touchedBetween(ctx context.Context, r *repo, from, to string) (keys []string) {
	changed, known := r.changes(ctx, from, to)
	touched := r.index.touched(changed)
	for _, other := range b.apps.of(r.key()) {
		if _, ok := touched[other.key]; ok || !known || !r.index.knows(other.key) || b.unsettled(other.key) {
			keys = append(keys, other.key)
		}
	}
	return keys
}

// unsettled says whether an application may not have all yet that it wants.
func (b *Brain) unsettled(key string) bool {
	a := b.apps.get(key)
	return a == nil || a.unsettled.Load()
}
