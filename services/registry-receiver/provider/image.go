package provider

import (
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// image is what a body says of an image.
type image struct {
	provider, host, path, tag, digest, mediaType, pusher string
	// delivery is the sender's id of this item; empty is the delivery's.
	delivery string
	time     time.Time
	deleted  bool
}

// add makes an event of it, or notes why it gives none: names and tags outside
// of OCI's grammar. A digest that is none is unknown, and one in the tag's
// place is the digest.
func (i image) add(d *webhook.Delivery, s webhook.Source) {
	if strings.HasPrefix(i.tag, "sha256:") || strings.HasPrefix(i.tag, "sha512:") {
		if i.digest == "" {
			i.digest = i.tag
		}
		i.tag = ""
	}
	repo, ok := d.Image(s, i.host, i.path)
	if !ok {
		return
	}
	if i.tag != "" && !events.ValidTag(i.tag) {
		d.Ignore("tag is not in OCI's grammar")
		return
	}
	if i.delivery == "" {
		i.delivery = d.ID
	}
	a := events.Artifact{
		Registry: repo.Host, Repository: repo.Path, Tag: i.tag, Digest: webhook.Digest(i.digest),
		MediaType: i.mediaType, Provider: i.provider, Source: s.Name, DeliveryID: i.delivery, Pusher: i.pusher,
	}
	item := webhook.Item{Time: i.time}
	if i.deleted {
		item.Payload = events.ArtifactDeleted{Artifact: a}
	} else {
		if !i.time.IsZero() {
			a.PushedAt = &i.time
		}
		item.Payload = events.ArtifactPublished{Artifact: a}
	}
	d.Items = append(d.Items, item)
}

// hostOf is the host of an address or reference, with or without a scheme.
func hostOf(address string) string {
	host, _, _ := strings.Cut(withoutScheme(address), "/")
	return host
}

func withoutScheme(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		return rest
	}
	return address
}

// splitReference reads host/path[:tag][@digest] without judging any of it.
func splitReference(s string) image {
	rest, digest, _ := strings.Cut(withoutScheme(s), "@")
	host, path, _ := strings.Cut(rest, "/")
	tag := ""
	if at := strings.LastIndexByte(path, ':'); at > strings.LastIndexByte(path, '/') {
		path, tag = path[:at], path[at+1:]
	}
	return image{host: host, path: path, tag: tag, digest: digest}
}

// unix is a time in seconds, which some senders write as a float.
func unix(seconds float64) time.Time {
	if !(seconds >= 1 && seconds <= 1e11) { // NaN is neither
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// byToken proves a sender that has nothing but its address.
func byToken(r webhook.Request, _ []string) error { return webhook.Token(r) }

// byHeader proves a sender by the fixed header that the source's config names,
// else by Authorization.
func byHeader(r webhook.Request, s webhook.Source) error {
	if s.Config.Header != "" {
		return webhook.FixedHeader(r.Header, s.Config.Header, s.Secrets)
	}
	return webhook.Authorization(r.Header, s.Secrets)
}

// hasProof says that the config gives a source any proof.
func hasProof(s service.Source) bool { return len(s.Secrets) > 0 || s.Insecure || s.OIDC != nil }
