package provider

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// github is GitHub's container registry: the events package of repository and
// organisation hooks and registry_package of App hooks, signed as all of
// GitHub's. (The git-receiver has the rest of them.)
var github = webhook.Provider{
	Name:    "github",
	MaxBody: 25 * webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return webhook.HMACSHA256(r.Header, "X-Hub-Signature-256", "sha256=", r.Body, secrets)
	},
	Sign:  webhook.SignHMACSHA256("X-Hub-Signature-256", "sha256=", nil),
	Parse: parseGithub,
	Wants: func(h http.Header) bool { return slices.Contains(packageEvents, h.Get("X-GitHub-Event")) },
	Setup: webhook.Setup{
		Where:  "Organisation, repository that the package is linked to, or App → Settings → Webhooks → Add webhook; payload URL /hooks/{source}, content type application/json.",
		Events: "Packages; for an App, Registry packages. (Nothing tells that a version was deleted.)",
		Secret: "Secret: the source's secret.",
		Tried:  webhook.Documents,
	},
}

var packageEvents = []string{"package", "registry_package"}

type githubPackage struct {
	Name        string `json:"name"`
	Ecosystem   string `json:"ecosystem"`
	PackageType string `json:"package_type"`
	Owner       struct {
		Login string `json:"login"`
	} `json:"owner"`
	Version struct {
		Version   string `json:"version"`
		Name      string `json:"name"`
		UpdatedAt string `json:"updated_at"`
		CreatedAt string `json:"created_at"`
		URL       string `json:"package_url"` // ghcr.io/Owner/name:tag, or with nothing behind the colon
		Metadata  struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
			Manifest struct {
				Digest    string `json:"digest"`
				MediaType string `json:"media_type"`
			} `json:"manifest"`
		} `json:"container_metadata"`
	} `json:"package_version"`
}

func parseGithub(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-GitHub-Delivery")}
	body, err := webhook.Payload(r)
	if err != nil {
		return d, err
	}
	if !slices.Contains(packageEvents, r.Header.Get("X-GitHub-Event")) {
		d.Ignore("event is not of a package")
		return d, webhook.JSON(body, &struct{}{})
	}
	var b struct {
		Action          string         `json:"action"`
		Package         *githubPackage `json:"package"`
		RegistryPackage *githubPackage `json:"registry_package"`
		Sender          struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := webhook.JSON(body, &b); err != nil {
		return d, err
	}
	p := cmp.Or(b.Package, b.RegistryPackage)
	switch {
	case p == nil:
		return d, fmt.Errorf("%w: package is missing", webhook.ErrBody)
	case b.Action != "published" && b.Action != "updated":
		d.Ignore("action %q", clip(b.Action))
	case !p.isContainer():
		d.Ignore("package is not a container")
	default:
		p.read(&d, s, b.Sender.Login)
	}
	return d, nil
}

// isContainer asks both names of the kind: GitHub's own example says npm in
// one and docker in the other.
func (p githubPackage) isContainer() bool {
	return slices.ContainsFunc([]string{p.PackageType, p.Ecosystem}, func(kind string) bool {
		return strings.EqualFold(kind, "container") || strings.EqualFold(kind, "docker")
	})
}

// read takes a version. Owners have capitals, and references have none.
func (p githubPackage) read(d *webhook.Delivery, s webhook.Source, pusher string) {
	v := p.Version
	i := splitReference(v.URL)
	if i.path == "" {
		i.host, i.path = "ghcr.io", p.Owner.Login+"/"+p.Name
	}
	i.path = strings.ToLower(i.path)
	i.tag = cmp.Or(v.Metadata.Tag.Name, i.tag)
	for _, digest := range []string{v.Version, v.Name, v.Metadata.Tag.Digest, v.Metadata.Manifest.Digest} {
		i.digest = cmp.Or(i.digest, webhook.Digest(digest))
	}
	if i.tag == "" && webhook.Digest(i.digest) == "" {
		d.Ignore("version has neither tag nor digest")
		return
	}
	i.time = webhook.ParseTime(v.UpdatedAt)
	if i.time.IsZero() {
		i.time = webhook.ParseTime(v.CreatedAt)
	}
	i.provider, i.mediaType, i.pusher = "github", v.Metadata.Manifest.MediaType, pusher
	i.add(d, s)
}
