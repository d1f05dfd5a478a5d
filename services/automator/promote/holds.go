package promote

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// holds are the versions that must not come back, by application as Git spells
// it: cluster/namespace/name.
type holds map[string]heldVersions

// heldVersions are the holds of one application. Where its file can't be read
// nobody knows what is held, and the application is blocked.
type heldVersions struct {
	list   []*api.Hold
	broken error
}

// loadHolds reads the holds of a repository at one commit. A file speaks for
// the application that its path names, and for no other.
func loadHolds(fsys fs.FS) (holds, error) {
	files, err := render.Files(fsys, api.HoldsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return holds{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	all := holds{}
	for _, file := range files {
		application, ok := api.HoldApplication(file)
		if !ok {
			continue
		}
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all[application] = readHolds(file, application, data)
	}
	return all, nil
}

func readHolds(file, application string, data []byte) heldVersions {
	var h heldVersions
	docs, err := api.Decode(file, data)
	if err != nil {
		return heldVersions{broken: err}
	}
	for _, d := range docs {
		hold, ok := d.Object.(*api.Hold)
		switch {
		case !ok:
			h.broken = errors.Join(h.broken, fmt.Errorf("%s:%d: a %s has no place among holds", d.File, d.Line, d.Kind))
		case hold.Spec.Application != application:
			h.broken = errors.Join(h.broken, fmt.Errorf("%s:%d: it holds for %s, and its place is that of %s", d.File, d.Line, hold.Spec.Application, application))
		default:
			h.list = append(h.list, hold)
		}
	}
	return h
}

// of gives the hold that stands against an image of an application.
func (h heldVersions) of(image events.Image, aliases events.Aliases, now time.Time) (*api.Hold, bool) {
	for _, hold := range h.list {
		repo, err := events.ParseImageRepository(hold.Spec.Image, aliases)
		if err != nil || repo != image.Repository || !hold.Stands(now) {
			continue
		}
		if hold.Spec.Digest != "" && hold.Spec.Digest == image.Digest || hold.Spec.Tag != "" && hold.Spec.Tag == image.Tag {
			return hold, true
		}
	}
	return nil, false
}

// why says why an image is held.
func why(h *api.Hold) string {
	said := "is held"
	if h.Spec.By != "" {
		said += " by " + h.Spec.By
	}
	if h.Spec.Until != nil {
		said += " until " + h.Spec.Until.Format(time.RFC3339)
	}
	if h.Spec.Reason != "" {
		said += ": " + h.Spec.Reason
	}
	return said
}

// changedHolds are the applications whose holds lie in changed paths.
func changedHolds(changed []string) map[string]bool {
	all := map[string]bool{}
	for _, c := range changed {
		if application, ok := api.HoldApplication(c); ok {
			all[application] = true
		}
	}
	return all
}

// holdName is a hold's metadata.name: "<application>-<version>" in the
// characters that Kubernetes takes.
func holdName(application events.Application, version string) string {
	version = strings.TrimPrefix(version, "sha256:")
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, application.Name+"-"+version)
	return strings.Trim(name[:min(len(name), 60)], "-")
}

// has says whether the same version is held until the same time.
func (h heldVersions) has(other *api.Hold) bool {
	return slices.ContainsFunc(h.list, func(hold *api.Hold) bool {
		a, b := hold.Spec, other.Spec
		sameEnd := a.Until == nil && b.Until == nil || a.Until != nil && b.Until != nil && a.Until.Equal(*b.Until)
		return a.Image == b.Image && a.Digest == b.Digest && a.Tag == b.Tag && sameEnd
	})
}
