package sync

import (
	"path"
	"sync"

	"github.com/slipway-cd/slipway/shared/render"
)

// index says which applications a changed path touches. A look-up costs the
// depth of the path, however many applications there are.
type index struct {
	mu     sync.RWMutex
	byPath map[string]map[string]struct{}
	inputs map[string][]string
}

func newIndex() *index {
	return &index{byPath: map[string]map[string]struct{}{}, inputs: map[string][]string{}}
}

// set replaces the inputs of an application.
func (x *index) set(app string, inputs []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropLocked(app)
	x.inputs[app] = inputs
	for _, p := range inputs {
		if x.byPath[p] == nil {
			x.byPath[p] = map[string]struct{}{}
		}
		x.byPath[p][app] = struct{}{}
	}
}

func (x *index) drop(app string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropLocked(app)
}

func (x *index) dropLocked(app string) {
	for _, p := range x.inputs[app] {
		delete(x.byPath[p], app)
		if len(x.byPath[p]) == 0 {
			delete(x.byPath, p)
		}
	}
	delete(x.inputs, app)
}

// knows says whether an application's inputs are known.
func (x *index) knows(app string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.inputs[app]
	return ok
}

// touches says whether a change of the paths concerns one application.
func (x *index) touches(app string, changed []string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return render.Result{Inputs: x.inputs[app]}.Touched(changed)
}

// touched are the applications that a change of the paths concerns.
func (x *index) touched(changed []string) map[string]struct{} {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found := map[string]struct{}{}
	looked := map[string]struct{}{}
	for _, p := range changed {
		for at := path.Clean(p); ; at = path.Dir(at) {
			if _, done := looked[at]; done {
				break // and so are all above
			}
			looked[at] = struct{}{}
			for app := range x.byPath[at] {
				found[app] = struct{}{}
			}
			if at == "." || at == "/" {
				break
			}
		}
	}
	return found
}
