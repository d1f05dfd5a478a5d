package bus

import (
	"slices"
	"testing"
)

func TestSignsAreCountedByOurOwn(t *testing.T) {
	t.Parallel()
	s := newSigns("me")
	steps := []struct {
		id    string
		ended bool
		gone  []string
	}{
		{id: "me"},
		{id: "a"},
		{id: "b"},
		{id: "me"},
		{id: "a"},
		{id: "me"},
		{id: "me", gone: []string{"b"}}, // its third since b said something
		{id: "a"},
		{id: "me"},
		{id: "me"},
		{id: "a"},
		{id: "me"},
		{id: "me"},
		{id: "a", ended: true, gone: []string{"a"}},
		{id: "a", ended: true},
		{id: "me"},
		{id: "me"},
		{id: "me"},
		{id: ""},
		{id: "b"},
		{id: "b", ended: true, gone: []string{"b"}}, // it was only away
	}
	for i, step := range steps {
		if gone := s.see(step.id, step.ended); !slices.Equal(gone, step.gone) {
			t.Errorf("%d: gone %q, want %q", i, gone, step.gone)
		}
	}
}
