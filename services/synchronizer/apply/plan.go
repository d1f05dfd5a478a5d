package apply

import (
	"cmp"
	"slices"

	"github.com/slipway-cd/slipway/shared/render"
)

// Step is what is applied together. A step begins when everything of the one
// before is ready, and the hooks among it have ended.
type Step struct {
	// Hook is empty for ordinary objects, among which there may be hooks of
	// [render.HookSync].
	Hook  render.Hook
	Items []*Item
	// Last says that with it all that stays is applied.
	Last bool
}

// Plan puts prepared items into steps. First says that the application was
// never applied. Definitions and namespaces come before the first hook, which
// may need them; hooks of [render.HookFail] are not in the plan.
func Plan(items []*Item, first bool) []Step {
	var foundation, rest []*Item
	for _, i := range items {
		switch {
		case i.Turn.IsHook && !slices.Contains(i.Turn.Hooks(first), render.HookSync):
		case i.Stage == render.StageFoundation && i.Turn.Stage == 0:
			foundation = append(foundation, i)
		default:
			rest = append(rest, i)
		}
	}
	pre := Hooks(items, render.HookPre, first)
	ordinary := byStage(rest, "")
	if len(pre) > 0 && len(foundation) > 0 {
		pre = append([]Step{{Items: foundation}}, pre...)
	} else if len(ordinary) == 0 {
		ordinary = []Step{{Items: foundation}}
	} else {
		ordinary[0].Items = append(foundation, ordinary[0].Items...)
	}
	if len(ordinary) == 0 {
		ordinary = []Step{{}}
	}
	ordinary[len(ordinary)-1].Last = true
	return slices.Concat(pre, ordinary, Hooks(items, render.HookPost, first), Hooks(items, render.HookTest, first))
}

// Hooks are the steps of one hook.
func Hooks(items []*Item, hook render.Hook, first bool) []Step {
	var all []*Item
	for _, i := range items {
		if slices.Contains(i.Turn.Hooks(first), hook) {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(x, y *Item) int { return cmp.Compare(x.Turn.Stage, y.Turn.Stage) })
	return byStage(all, hook)
}

// byStage begins a step wherever the stage that the objects name changes. What
// only its kind puts before others needs no waiting: it is there at once.
func byStage(items []*Item, hook render.Hook) []Step {
	var steps []Step
	for n, i := range items {
		if n == 0 || i.Turn.Stage != items[n-1].Turn.Stage {
			steps = append(steps, Step{Hook: hook})
		}
		last := &steps[len(steps)-1]
		last.Items = append(last.Items, i)
	}
	return steps
}

// inTurn orders items as they are applied.
func inTurn(x, y *Item) int {
	return cmp.Or(cmp.Compare(x.Stage, y.Stage), cmp.Compare(x.Turn.Stage, y.Turn.Stage), cmp.Compare(x.Late, y.Late))
}

// atOnce are the items of one step, in order, by what is sent without waiting: what
// comes after uses what was sent before it.
func atOnce(items []*Item) [][]*Item {
	var all [][]*Item
	for n, i := range items {
		if n == 0 || i.Stage != items[n-1].Stage || i.Late != items[n-1].Late {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], i)
	}
	return all
}
