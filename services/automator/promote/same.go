package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/registry"
)

// comparison says whether what another application runs is the same as an
// image: by its digest, or by the revision of which both were built.
type comparison struct {
	by   Facts
	repo events.ImageRepository // the tags among the facts are its
	// revision says that revisions are compared.
	revision bool
	// asks are the images whose revisions must be known before that can be
	// said.
	asks []events.Image
}

func (f Facts) comparison(repo events.ImageRepository, same api.Same) *comparison {
	return &comparison{by: f, repo: repo, revision: same == api.SameRevision}
}

// same compares an image with those that run.
func (c *comparison) same(running []string, image events.Image) bool {
	now, there := (Running{Images: running}).image(image.Repository, c.by.Aliases)
	if there && sameImage(now, image) {
		return true // and so of the same revision
	}
	if !c.revision {
		return false
	}
	wanted, known := c.of(image)
	for _, i := range c.compared(running) {
		revision, alsoKnown := c.of(i)
		if known && alsoKnown && revision != "" && revision == wanted && (there || isCommit(revision)) {
			return true
		}
	}
	return false
}

// compared are the images that count: that of the repository or, where none of
// it runs, all, since each environment may have a repository of its own.
func (c *comparison) compared(running []string) []events.Image {
	if i, there := (Running{Images: running}).image(c.repo, c.by.Aliases); there {
		return []events.Image{i}
	}
	var all []events.Image
	for _, s := range running {
		if i, err := events.ParseImage(s, c.by.Aliases); err == nil {
			all = append(all, i)
		}
	}
	return all
}

// isCommit tells a revision that is Git's from a word such as "unknown", which
// images of other sources may have as well.
func isCommit(revision string) bool { return len(revision) >= 7 && isHex(revision) }

// of gives an image's revision, empty where it has none, or has it asked for.
func (c *comparison) of(image events.Image) (revision string, known bool) {
	if image.Digest == "" {
		at := slices.IndexFunc(c.by.Tags, func(k Known) bool { return k.Tag == image.Tag })
		if image.Repository != c.repo || at < 0 || !events.ValidDigest(c.by.Tags[at].Digest) {
			return "", true // it runs by a tag of which nobody knows where it pointed
		}
		image.Digest = c.by.Tags[at].Digest
	}
	if c.by.Revision != nil {
		revision, known = c.by.Revision(image)
	}
	if !known && !slices.Contains(c.asks, image) {
		c.asks = append(c.asks, image)
	}
	return revision, known
}

// told words the revision of an image.
func (c *comparison) told(image events.Image) string {
	if revision, _ := c.of(image); revision != "" {
		return "its revision " + revision
	}
	return "its revision, since it has no label org.opencontainers.image.revision"
}

// maxFollowed is how many tags are asked for their revision to find the one to
// follow.
const maxFollowed = 200

// followed is the tag of a repository that another application is healthy
// with, or the youngest of its revision; none where no track follows one, or
// nobody told. asks are what must be known first.
func (r *Rule) followed(app events.Application, repo events.ImageRepository, f Facts) (t policy.Tag, asks []events.Image, err error) {
	if r.Track.Follow == nil || f.Runs == nil {
		return t, nil, nil
	}
	other, err := r.Track.Follow.Of(app)
	if err != nil {
		return t, nil, err
	}
	running, ok := f.Runs(other)
	if !ok || running.HealthySince.IsZero() {
		return t, nil, nil
	}
	if r.Track.Follow.Same != api.SameRevision {
		if i, there := running.image(repo, f.Aliases); there {
			t = policy.Tag{Name: i.Tag, Digest: i.Digest}
		}
		return t, nil, nil
	}
	c := f.comparison(repo, api.SameRevision)
	for _, k := range r.youngest(f.Tags) {
		if c.same(running.Images, events.Image{Repository: repo, Tag: k.Tag, Digest: k.Digest}) {
			return policy.Tag{Name: k.Tag, Digest: k.Digest}, nil, nil
		}
		if len(c.asks) > 0 {
			return t, c.asks, nil
		}
	}
	return t, nil, nil
}

// youngest are the tags that the follow track's filter takes, the youngest
// first.
func (r *Rule) youngest(tags []Known) []Known {
	takes := policy.Takes(r.Track.Follow.Filter)
	all := slices.DeleteFunc(slices.Clone(tags), func(k Known) bool { return k.Digest == "" || !takes(k.Tag) })
	slices.SortFunc(all, func(a, b Known) int {
		if c := b.born().Compare(a.born()); c != 0 {
			return c
		}
		return strings.Compare(a.Tag, b.Tag)
	})
	return all[:min(len(all), maxFollowed)]
}

// Revisions knows of which revisions of their source images were built. An
// image's doesn't change.
type Revisions struct {
	Registry interface {
		// Revision is empty where an image doesn't tell.
		Revision(ctx context.Context, image events.Image) (string, error)
	}

	mu    sync.Mutex
	known map[string]told // by repository and digest, or tag where there is none
}

// told is what the registry said; where it had no such image, until a time.
type told struct {
	revision string
	until    time.Time
}

// When to ask again: for an image that wasn't there, for one by a tag, which may
// move, and after an error.
const (
	missingAgain  = 10 * time.Minute
	movedAgain    = time.Hour
	revisionAgain = 15 * time.Second
)

// pinnedName is an image's repository with its digest or, without one, its tag.
func pinnedName(i events.Image) string {
	if i.Digest != "" {
		i.Tag = ""
	}
	return i.String()
}

// Of gives what is known of an image.
func (r *Revisions) Of(image events.Image, now time.Time) (revision string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, known := r.known[pinnedName(image)]
	return t.revision, known && (t.until.IsZero() || now.Before(t.until))
}

// ask has the registry tell of images. again is when one that isn't there may
// be asked for again; zero where all are.
func (r *Revisions) ask(ctx context.Context, images []events.Image, now time.Time) (again time.Time, err error) {
	for _, i := range images {
		var t told
		t.revision, err = r.Registry.Revision(ctx, i)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			again = now.Add(missingAgain)
			t.until = again
		case err != nil:
			return again, err
		case i.Digest == "":
			t.until = now.Add(movedAgain)
		}
		r.mu.Lock()
		if r.known == nil || len(r.known) > 10_000 {
			r.known = map[string]told{}
		}
		r.known[pinnedName(i)] = t
		r.mu.Unlock()
	}
	return again, nil
}

// asking decides, and has the registry asked for the revisions on which the
// decisions of one pass depend.
type asking struct {
	*Revisions
	down map[string]error // hosts that didn't answer in this pass
}

// decide is [Decide] with what it asks for. What the registry doesn't tell is
// waited for.
func (a asking) decide(ctx context.Context, s *State, app *Application, image events.ImageRepository, f Facts) (Decision, bool) {
	const most = 2 * maxFollowed
	f.Revision = func(i events.Image) (string, bool) { return a.Of(i, f.Now) }
	var missing time.Time // when the first that wasn't there is asked for again
	d, ok := Decide(s, app, image, f)
	for n := 0; len(d.asks) > 0; n++ {
		if n == most {
			return a.later(d, f, fmt.Errorf("none of the %d best tags has the revision that is waited for", most)), ok
		}
		host := d.asks[0].Repository.Host
		if a.down[host] == nil {
			var again time.Time
			if again, a.down[host] = a.ask(ctx, d.asks, f.Now); missing.IsZero() {
				missing = again
			}
		}
		if a.down[host] != nil {
			return a.later(d, f, a.down[host]), ok
		}
		d, ok = Decide(s, app, image, f)
	}
	return d.again(missing), ok
}

// later is a decision that is taken again soon.
func (asking) later(d Decision, f Facts, why error) Decision {
	return d.again(f.Now.Add(revisionAgain)).end(events.Waiting, d.Reason+": "+why.Error())
}
