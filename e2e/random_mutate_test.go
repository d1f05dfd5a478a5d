package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// newRandomRepo makes a valid repo.
func newRandomRepo(rng *rand.Rand) *randomRepo {
	r := &randomRepo{}
	for _, shape := range []string{"plain", "kustomize", "helm", anyOf(rng, shapes)} {
		r.addApp(rng, shape)
	}
	return r
}

var shapes = []string{"plain", "kustomize", "detected", "helm"}

func anyOf[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }

func (r *randomRepo) addApp(rng *rand.Rand, shape string) {
	id := r.name("app")
	a := randomApp{
		ID: id, Name: id, Dir: "apps/" + id, Shape: shape, Value: rng.IntN(100), Resync: 10,
		Ignores: rng.IntN(3) == 0, Orphans: rng.IntN(5) == 0, Empties: rng.IntN(3) == 0,
		Annex: rng.IntN(4) == 0, Substitutes: rng.IntN(3) == 0, Leaves: rng.IntN(6) == 0, Runs: rng.IntN(3) == 0,
	}
	if rng.IntN(4) == 0 {
		a.Name = r.name(crew)
	}
	for range 2 + rng.IntN(3) {
		a.Units = append(a.Units, r.newUnit(rng))
	}
	for _, when := range []string{"pre", "post"} {
		if rng.IntN(3) == 0 {
			a.Hooks = append(a.Hooks, hook{When: when, Style: anyOf(rng, []string{"slipway", "helm", "argo"})})
		}
	}
	if len(r.Apps) > 0 && rng.IntN(3) == 0 {
		a.DependsOn = []string{anyOf(rng, r.Apps).ID}
	}
	r.Apps = append(r.Apps, a)
}

func (r *randomRepo) newUnit(rng *rand.Rand) unit {
	u := unit{Kind: anyOf(rng, unitKinds), Value: rng.IntN(1000)}
	u.Name = r.name(u.Kind)
	if u.wishful() {
		u.Keep, u.Once = rng.IntN(8) == 0, rng.IntN(8) == 0
		u.Stage = max(0, rng.IntN(5)-2)
	}
	if u.Kind == "forced" {
		u.Stage = rng.IntN(2)
	}
	return u
}

// mutation changes a repo to another valid one, and says what it did; "" when
// there was nothing to do it to.
type mutation struct {
	weight int
	run    func(*randomRepo, *rand.Rand) string
}

var mutations = []mutation{
	{5, changeUnits},
	{3, addUnit},
	{3, removeUnit},
	{2, renameUnit},
	{5, moveUnit},
	{2, swapUnits},
	{1, restage},
	{1, changeWish},
	{1, suspend},
	{1, func(r *randomRepo, rng *rand.Rand) string {
		r.Shared = rng.IntN(1000)
		return "change what is shared"
	}},
	{3, changeApp},
	{2, changeHooks},
	{2, reshape},
	{1, moveFolder},
	{2, renameApp},
	{1, func(r *randomRepo, rng *rand.Rand) string {
		if len(r.Apps) > 6 {
			return ""
		}
		r.addApp(rng, anyOf(rng, shapes))
		return "add " + r.Apps[len(r.Apps)-1].Name
	}},
	{1, removeApp},
	{1, emptyApp},
}

// mutate makes one random change.
func (r *randomRepo) mutate(rng *rand.Rand) string {
	var hat []mutation
	for _, m := range mutations {
		for range m.weight {
			hat = append(hat, m)
		}
	}
	for {
		if did := anyOf(rng, hat).run(r, rng); did != "" {
			return did
		}
	}
}

// app is one of at least that many units.
func (r *randomRepo) app(rng *rand.Rand, units int) *randomApp {
	for _, i := range rng.Perm(len(r.Apps)) {
		if len(r.Apps[i].Units) >= units {
			return &r.Apps[i]
		}
	}
	return nil
}

func changeUnits(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	if a == nil {
		return ""
	}
	did := "change in " + a.Name
	for range 1 + rng.IntN(3) {
		u := &a.Units[rng.IntN(len(a.Units))]
		u.Value = rng.IntN(1000)
		did += " " + u.Name
	}
	return did
}

func addUnit(r *randomRepo, rng *rand.Rand) string {
	a, u := r.app(rng, 0), r.newUnit(rng)
	a.Units = append(a.Units, u)
	return "add " + u.Name + " to " + a.Name
}

// takeUnit takes a unit out of an application that keeps others.
func (r *randomRepo) takeUnit(rng *rand.Rand) (from *randomApp, u unit) {
	if from = r.app(rng, 2); from == nil {
		return nil, u
	}
	i := rng.IntN(len(from.Units))
	u = from.Units[i]
	from.Units = slices.Delete(from.Units, i, i+1)
	return from, u
}

func removeUnit(r *randomRepo, rng *rand.Rand) string {
	a, u := r.takeUnit(rng)
	if a == nil {
		return ""
	}
	return "remove " + u.Name + " from " + a.Name
}

func renameUnit(r *randomRepo, rng *rand.Rand) string {
	a, u := r.takeUnit(rng)
	if a == nil {
		return ""
	}
	before := u.Name
	u.Name = r.name(u.Kind)
	a.Units = append(a.Units, u)
	return "rename " + before + " to " + u.Name + " in " + a.Name
}

func moveUnit(r *randomRepo, rng *rand.Rand) string {
	from, u := r.takeUnit(rng)
	if from == nil || len(r.Apps) < 2 {
		return ""
	}
	to := from
	for to == from {
		to = r.app(rng, 0)
	}
	if rng.IntN(2) == 0 {
		u.Value = rng.IntN(1000)
	}
	to.Units = append(to.Units, u)
	return "move " + u.Name + " from " + from.Name + " to " + to.Name
}

func swapUnits(r *randomRepo, rng *rand.Rand) string {
	x, y := r.app(rng, 1), r.app(rng, 1)
	if x == nil || y == nil || x == y {
		return ""
	}
	i, j := rng.IntN(len(x.Units)), rng.IntN(len(y.Units))
	x.Units[i], y.Units[j] = y.Units[j], x.Units[i]
	return "swap " + y.Units[j].Name + " of " + x.Name + " and " + x.Units[i].Name + " of " + y.Name
}

func changeApp(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 0)
	switch rng.IntN(9) {
	case 4:
		a.Annex = !a.Annex
	case 5:
		a.Substitutes = !a.Substitutes
	case 6:
		a.Leaves = !a.Leaves
	case 7:
		a.Orphans = !a.Orphans
	case 8:
		a.Empties = !a.Empties
	case 0:
		a.Labels = map[string]string{"team": r.name("team")}
	case 1:
		a.Labels, a.Annotations = nil, map[string]string{"example.com/note": r.name("note")}
	case 2:
		a.Resync = 5 + rng.IntN(20)
	case 3:
		a.DependsOn = nil
		for _, before := range r.Apps {
			if before.ID == a.ID {
				break
			}
			if rng.IntN(2) == 0 {
				a.DependsOn = append(a.DependsOn, before.ID)
			}
		}
	}
	a.Value++
	return "change the spec of " + a.Name
}

// restage has some objects come before others, or no longer.
func restage(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	if a == nil {
		return ""
	}
	u := &a.Units[rng.IntN(len(a.Units))]
	if u.Kind == "namespace" || u.Kind == "definition" {
		return ""
	}
	u.Stage = rng.IntN(3)
	return "have " + u.Name + " of " + a.Name + " come " + strconv.Itoa(u.Stage)
}

// changeWish has an object say otherwise how it wants to be treated.
func changeWish(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	if a == nil {
		return ""
	}
	u := &a.Units[rng.IntN(len(a.Units))]
	if !u.wishful() {
		return ""
	}
	wish := &u.Keep
	if rng.IntN(2) == 0 {
		wish = &u.Once
	}
	*wish = !*wish
	return fmt.Sprintf("have %s of %s be kept: %t, made once: %t", u.Name, a.Name, u.Keep, u.Once)
}

// suspend suspends an application, or goes on with the one that is.
func suspend(r *randomRepo, rng *rand.Rand) string {
	for i := range r.Apps {
		if a := &r.Apps[i]; a.Suspended {
			a.Suspended = false
			return "resume " + a.Name
		}
	}
	a := r.app(rng, 0)
	a.Suspended = true
	return "suspend " + a.Name
}

func changeHooks(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	if a == nil {
		return ""
	}
	if len(a.Hooks) == 0 {
		a.Hooks = []hook{{When: anyOf(rng, []string{"pre", "post"}), Style: anyOf(rng, []string{"slipway", "helm", "argo"})}}
		return "give a hook to " + a.Name
	}
	if rng.IntN(4) == 0 {
		a.Hooks = nil
		return "take the hooks of " + a.Name
	}
	a.Hooks[0].Value++
	return "change a hook of " + a.Name
}

// reshape has the same units rendered by another tool.
func reshape(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	shape := anyOf(rng, shapes)
	if a == nil || shape == a.Shape {
		return ""
	}
	was := a.Shape
	a.Shape = shape
	return "make " + a.Name + ", which was " + was + ", " + shape
}

func moveFolder(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 0)
	a.Dir = "apps/" + r.name("folder")
	return "move " + a.Name + " to " + a.Dir
}

func renameApp(r *randomRepo, rng *rand.Rand) string {
	a := r.app(rng, 1)
	if a == nil {
		return ""
	}
	before := a.Name
	a.Name = r.name(anyOf(rng, []string{"named", "named", crew}))
	if rng.IntN(2) == 0 {
		a.Dir = "apps/" + a.Name
	}
	return "rename the application " + before + " to " + a.Name
}

func removeApp(r *randomRepo, rng *rand.Rand) string {
	if len(r.Apps) < 4 {
		return ""
	}
	i := rng.IntN(len(r.Apps))
	gone := r.Apps[i]
	r.Apps = slices.Delete(r.Apps, i, i+1)
	for i := range r.Apps {
		a := &r.Apps[i]
		a.DependsOn = slices.DeleteFunc(a.DependsOn, func(id string) bool { return id == gone.ID })
	}
	if n := len(gone.Units); n > 0 && rng.IntN(2) == 0 { // some of it goes on elsewhere
		to := r.app(rng, 0)
		to.Units = append(to.Units, gone.Units[:1+rng.IntN(n)]...)
		return "merge " + gone.Name + " into " + to.Name
	}
	return "remove the application " + gone.Name
}

// emptyApp leaves nothing of an application, which is refused where that would
// delete something.
func emptyApp(r *randomRepo, rng *rand.Rand) string {
	for _, a := range r.Apps {
		if len(a.Units) == 0 {
			return "" // one is enough
		}
	}
	a := r.app(rng, 1)
	if rng.IntN(2) == 0 && len(r.Apps) > 1 {
		for to := r.app(rng, 0); ; to = r.app(rng, 0) {
			if to != a {
				to.Units = append(to.Units, a.Units[0])
				break
			}
		}
	}
	a.Units, a.Hooks = nil, nil
	return "empty " + a.Name
}
