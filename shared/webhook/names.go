package webhook

import (
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// Image names the image of a delivery: host is what the body tells, and the
// source's config overrides it. ok is false, with the reason noted, for what
// is outside of OCI's grammar: it is never published.
func (d *Delivery) Image(s Source, host, path string) (events.ImageRepository, bool) {
	if s.Host != "" {
		host = s.Host
	}
	if host == "" {
		d.Ignore("no registry host: set registry in the source's config")
		return events.ImageRepository{}, false
	}
	repo, err := events.NewImageRepository(host, path, s.Aliases)
	if err != nil {
		d.Ignore("repository is not in OCI's grammar, or its host has neither dot nor port")
		return events.ImageRepository{}, false
	}
	return repo, true
}

// GitRepository names the repository of a delivery by its clone address;
// the host of the source's config overrides the address's.
func (d *Delivery) GitRepository(s Source, address string) (events.GitRepository, bool) {
	repo, err := events.ParseGitRepository(address, s.Aliases)
	if err != nil {
		d.Ignore("repository is not a Git address")
		return "", false
	}
	if s.Host != "" {
		_, path, _ := strings.Cut(string(repo), "/")
		repo = events.GitRepository(s.Host + "/" + path)
	}
	return repo, true
}

// Digest keeps a valid digest; anything else is unknown.
func Digest(s string) string {
	if events.ValidDigest(s) {
		return s
	}
	return ""
}

// ObjectID keeps an object's id; zeros mean that there is none.
func ObjectID(s string) string {
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}
