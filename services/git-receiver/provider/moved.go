package provider

import (
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// moved is a ref that a body says has moved.
type moved struct {
	provider, repository, ref, before, after, pusher string
	forced                                           bool
	at                                               time.Time // zero where it isn't told
	files                                            []string
}

// add makes an event of it, or notes why it gives none: names and refs that
// are none, and what did not move. Ids that are none, as vendors' examples
// have them, are unknown.
func (m moved) add(d *webhook.Delivery, s webhook.Source) {
	switch {
	case !events.ValidRef(m.ref):
		d.Ignore("ref is not in Git's grammar")
		return
	case m.before == m.after && events.ValidObjectID(m.after):
		d.Ignore("nothing moved: before equals after")
		return
	}
	repo, ok := d.GitRepository(s, m.repository)
	if !ok {
		return
	}
	d.Items = append(d.Items, webhook.Item{Time: m.at, Payload: events.RefUpdated{
		Repository: repo, Ref: m.ref, Before: knownID(m.before), After: knownID(m.after), Forced: m.forced,
		Provider: m.provider, Source: s.Name, DeliveryID: d.ID, Pusher: m.pusher, ChangedFiles: m.files,
	}})
}

// knownID is an id that is one and not zeros.
func knownID(s string) string {
	if !events.ValidObjectID(s) {
		return ""
	}
	return webhook.ObjectID(s)
}

// fullRef writes out a short name; some write it out themselves.
func fullRef(kind, name string) string {
	switch {
	case strings.HasPrefix(name, "refs/"):
		return name
	case kind == "tag":
		return "refs/tags/" + name
	}
	return "refs/heads/" + name
}
