package promote

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/render"
)

// input is a path of which an application is rendered.
type input struct {
	path string
	app  *Application
}

// inputsOf lists what applications are rendered of, by path. The cost of a
// look-up follows from what is found.
func (s *State) inputsOf() []input {
	var all []input
	for _, app := range s.Applications {
		if app.rendered == nil {
			continue
		}
		for _, p := range app.rendered.result.Inputs {
			all = append(all, input{p, app})
		}
	}
	slices.SortFunc(all, func(a, b input) int { return strings.Compare(a.path, b.path) })
	return all
}

// sharing are the other applications that are rendered of something below, or
// above, a path, by name.
func (s *State) sharing(app *Application, dir string) []*Application {
	found := map[*Application]bool{}
	take := func(from int, fits func(string) bool) {
		for i := from; i < len(s.inputs) && fits(s.inputs[i].path); i++ {
			if other := s.inputs[i].app; other.Name != app.Name {
				found[other] = true
			}
		}
	}
	find := func(p string) int {
		i, _ := slices.BinarySearchFunc(s.inputs, p, func(in input, p string) int { return strings.Compare(in.path, p) })
		return i
	}
	for at := dir; ; at = path.Dir(at) {
		take(find(at), func(p string) bool { return p == at })
		if at == "." || at == "/" {
			break
		}
	}
	if dir != "." {
		below := dir + "/"
		take(find(below), func(p string) bool { return strings.HasPrefix(p, below) })
	} else {
		take(0, func(string) bool { return true })
	}
	all := make([]*Application, 0, len(found))
	for other := range found {
		all = append(all, other)
	}
	slices.SortFunc(all, byName)
	return all
}

// sharedError says that an edit would move an application that nobody decided to
// move.
type sharedError struct {
	file  string
	other events.Application
	image events.ImageRepository
}

func (e sharedError) Error() string {
	return fmt.Sprintf("%s is what %s is rendered of, too, and it is not decided that its %s moves: give each of them a file of its own",
		e.file, e.other, e.image)
}

// bystanders holds that files which were edited for an application move no other
// one, unless that is decided.
func (s *State) bystanders(ctx context.Context, app *Application, edited, all map[string][]byte, aliases events.Aliases, decided func(other *Application, to events.Image) bool) error {
	seen := map[*Application]bool{}
	for file := range edited {
		for _, other := range s.sharing(app, file) {
			if seen[other] || other.Blocked != nil {
				continue
			}
			seen[other] = true
			result, err := render.Render(ctx, other.of(manifest.Overlay(s.Head.FS(), all)))
			if err != nil {
				return fmt.Errorf("render %s, which shares %s: %w", other.Name, file, err)
			}
			now := &Application{Images: manifest.Images(result.Objects, aliases)}
			for image := range repositories(other) {
				to := current(now, image)
				if to != current(other, image) && !decided(other, to) {
					return sharedError{file, other.Name, image}
				}
			}
		}
	}
	return nil
}
