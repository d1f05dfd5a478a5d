package apply

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/render"
)

// itemsOf makes items of "name stage turn hook" each.
func itemsOf(t *testing.T, texts ...string) []*Item {
	t.Helper()
	var items []*Item
	for _, text := range texts {
		item := &Item{}
		var hook string
		if _, err := fmt.Sscan(text, &item.Name, &item.Stage, &item.Turn.Stage, &hook); err != nil {
			t.Fatal(err)
		}
		if hook != "-" {
			item.Turn.IsHook = true
			for name := range strings.SplitSeq(hook, ",") {
				if name, install := strings.CutSuffix(name, "!"); install {
					item.Turn.Install = append(item.Turn.Install, render.Hook(name))
					continue
				}
				item.Turn.Install = append(item.Turn.Install, render.Hook(name))
				item.Turn.Upgrade = append(item.Turn.Upgrade, render.Hook(name))
			}
		}
		items = append(items, item)
	}
	return items
}

func TestAPlanIsMadeOfSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		items []string
		later bool // not the first sync
		want  string
	}{
		"all at once":                {[]string{"crd 0 0 -", "role 1 0 -", "web 2 0 -"}, false, "[crd role web]!"},
		"nothing":                    {nil, false, "[]!"},
		"stages wait":                {[]string{"crd 0 0 -", "early 2 -1 -", "web 2 0 -", "also 2 0 -", "late 2 1 -"}, false, "[crd early] [web also] [late]!"},
		"definitions before hooks":   {[]string{"crd 0 0 -", "web 2 0 -", "job 2 0 pre"}, false, "[crd] pre[job] [web]!"},
		"hooks without definitions":  {[]string{"web 2 0 -", "job 2 0 pre"}, false, "pre[job] [web]!"},
		"nothing but hooks":          {[]string{"job 2 0 pre"}, false, "pre[job] []!"},
		"nothing but definitions":    {[]string{"crd 0 0 -"}, false, "[crd]!"},
		"hooks have an order":        {[]string{"web 2 0 -", "b 2 5 pre", "a 2 -5 pre", "c 2 5 pre", "told 2 0 post"}, false, "pre[a] pre[b c] [web]! post[told]"},
		"among the others":           {[]string{"web 2 0 -", "job 2 0 sync"}, false, "[web job]!"},
		"of an installation":         {[]string{"web 2 0 -", "job 2 0 pre!"}, false, "pre[job] [web]!"},
		"of an installation, later":  {[]string{"web 2 0 -", "job 2 0 pre!"}, true, "[web]!"},
		"twice":                      {[]string{"web 2 0 -", "job 2 0 pre,post"}, false, "pre[job] [web]! post[job]"},
		"of a failure, not in it":    {[]string{"web 2 0 -", "sorry 2 0 fail"}, false, "[web]!"},
		"a namespace that is a hook": {[]string{"room 0 0 pre", "web 2 0 -"}, false, "pre[room] [web]!"},
		"never":                      {[]string{"web 2 0 -", "job 2 0 rollback"}, false, "[web]!"},
		"tests come last":            {[]string{"test 2 -1 test", "web 2 0 -", "told 2 5 post"}, false, "[web]! post[told] test[test]"},
	} {
		var got []string
		for _, step := range Plan(itemsOf(t, c.items...), !c.later) {
			var names []string
			for _, i := range step.Items {
				names = append(names, i.Name)
			}
			text := fmt.Sprintf("%s%v", step.Hook, names)
			if step.Last {
				text += "!"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, " "), c.want)
		}
	}
}

func TestHooksOfAFailure(t *testing.T) {
	t.Parallel()
	steps := Hooks(itemsOf(t, "web 2 0 -", "b 2 1 fail", "a 2 0 fail"), render.HookFail, true)
	if len(steps) != 2 || steps[0].Items[0].Name != "a" || !slices.Equal([]string{steps[1].Items[0].Name}, []string{"b"}) {
		t.Errorf("%+v", steps)
	}
}

// Git's order is that of file names: an Application in front of the account by which it
// acts would be refused until that is there.
func TestApplicationsComeAfterWhatLiesBesideThem(t *testing.T) {
	t.Parallel()
	items := itemsOf(t, "app 2 0 -", "account 2 0 -", "app-early 2 -1 -", "after-app 2 1 -", "role 1 0 -", "room 0 0 -", "app-too 2 0 -")
	for _, i := range items {
		if strings.HasPrefix(i.Name, "app") {
			i.Late = 1
		}
	}
	slices.SortStableFunc(items, inTurn)
	var got []string
	for _, step := range Plan(items, true) {
		for _, group := range atOnce(step.Items) {
			var names []string
			for _, i := range group {
				names = append(names, i.Name)
			}
			got = append(got, fmt.Sprint(names))
		}
		got = append(got, ".")
	}
	if want := "[room] [role] . [app-early] . [account] [app app-too] . [after-app] ."; strings.Join(got, " ") != want {
		t.Errorf("%s, not %s", strings.Join(got, " "), want)
	}
}
