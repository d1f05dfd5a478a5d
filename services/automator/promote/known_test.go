package promote

import (
	"testing"

	"github.com/slipway-cd/slipway/events"
)

// A watch tells late of what we have overwritten since: a tag must not lose
// its digest by that, nor come back after it was forgotten for good.
func TestAnOlderValueNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	repo := events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}
	tags := &Tags{byRepo: map[events.ImageRepository]map[string]Known{}}
	tags.set(repo, Known{Tag: "1.1.0", Digest: "sha256:new", revision: 7})
	tags.set(repo, Known{Tag: "1.1.0", revision: 6})
	if got := tags.Of(repo); len(got) != 1 || got[0].Digest != "sha256:new" {
		t.Errorf("after an older value: %+v", got)
	}
	tags.forget(events.Image{Repository: repo, Tag: "1.1.0"}, 5)
	if got := tags.Of(repo); len(got) != 1 {
		t.Errorf("after an older deletion: %+v", got)
	}
	tags.set(repo, Known{Tag: "1.1.0", Digest: "sha256:newer", revision: 8})
	if got := tags.Of(repo); got[0].Digest != "sha256:newer" {
		t.Errorf("after a newer value: %+v", got)
	}
}
