package sync

import (
	"hash/maphash"
	"slices"

	"github.com/slipway-cd/slipway/shared/api"
)

// identitySeed is of the hashes that stand for identities in memory. Who finds two
// of one hash asks more.
var identitySeed = maphash.MakeSeed()

func (i identity) hash() uint64 { return maphash.Comparable(identitySeed, i) }

// holders say which applications have an object in their inventories: more than one
// where a commit and its contrary were brought in by some of them only.
type holders struct {
	objects map[string][]uint64 // by application, of identities
	of      map[uint64][]string
}

func newHolders() holders {
	return holders{objects: map[string][]uint64{}, of: map[uint64][]string{}}
}

// set replaces what an application has, as its status says.
func (h holders) set(key string, s *api.ApplicationStatus) {
	var now []uint64
	if s != nil && s.Destination != nil {
		for _, e := range s.Inventory {
			if e.To == "" {
				now = append(now, identityOf(s.Destination.Name, e).hash())
			}
		}
	}
	if slices.Equal(h.objects[key], now) {
		return
	}
	for _, object := range h.objects[key] {
		h.of[object] = slices.DeleteFunc(h.of[object], func(other string) bool { return other == key })
		if len(h.of[object]) == 0 {
			delete(h.of, object)
		}
	}
	delete(h.objects, key)
	if len(now) > 0 {
		h.objects[key] = now
	}
	for _, object := range now {
		h.of[object] = append(h.of[object], key)
	}
}

// holdersOf are the applications that have an object.
func (a *applications) holdersOf(object identity) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.holders.of[object.hash()])
}

// hold notes what an application has.
func (a *applications) hold(key string, s *api.ApplicationStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holders.set(key, s)
}
