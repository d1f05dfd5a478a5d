package sync

import (
	"slices"
	"testing"

	"k8s.io/client-go/util/workqueue"
)

func TestRedacted(t *testing.T) {
	t.Parallel()
	v := variables{secret: map[string]string{
		"TOKEN": "s3cr3t", "LONGER": "s3cr3t/more", "LINES": "one \"two\"\nthree\n", "SHORT": "ab", "EMPTY": "",
	}}
	for text, want := range map[string]string{
		`host: Invalid value: "s3cr3t": no`:            `host: Invalid value: (the value of TOKEN): no`,
		`x-s3cr3t/more and s3cr3t`:                     `x-(the value of LONGER) and (the value of TOKEN)`,
		"raw one \"two\"\nthree":                       "raw (the value of LINES)",
		`Invalid value: "pre one \"two\"\nthree post"`: `Invalid value: "pre (the value of LINES) post"`,
		`"ab" in about`:                                `(the value of SHORT) in about`,
		`nothing`:                                      `nothing`,
	} {
		if got := v.redacted(text); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[wakeup]())
	t.Cleanup(queue.ShutDown)
	a := &applications{sourced: map[source]map[string]bool{}, uses: map[string]map[string][]source{}, wakeups: queue}
	cm, secret := source{configMaps, "shop", "vars"}, source{secrets, "shop", "vars"}
	a.setSources("shop/web", usedAsVariables, []source{cm})
	a.setSources("shop/web", usedAsVariables, []source{cm, secret})
	a.setSources("shop/web", usedAsKeys, []source{secret})
	a.setSources("shop/web", usedAsVariables, []source{cm}) // it is still there as keys
	a.setSources("shop/web", usedAsCredentials, nil)
	a.setSources("shop/api", usedAsVariables, []source{secret})
	a.wakeSourced(source{configMaps, "other", "vars"})
	if n := a.wakeups.Len(); n != 0 {
		t.Errorf("%d wake-ups for another's ConfigMap", n)
	}
	a.wakeSourced(secret)
	var woken []string
	for range a.wakeups.Len() {
		w, _ := a.wakeups.Get()
		woken = append(woken, w.key+" "+w.reason)
		a.wakeups.Done(w)
	}
	slices.Sort(woken)
	if want := []string{"shop/api variables", "shop/web variables"}; !slices.Equal(woken, want) {
		t.Errorf("woken %q", woken)
	}
	a.setSources("shop/web", usedAsVariables, nil)
	a.setSources("shop/web", usedAsKeys, nil)
	a.setSources("shop/api", usedAsVariables, nil)
	if len(a.sourced)+len(a.uses) != 0 {
		t.Errorf("left: %v, %v", a.sourced, a.uses)
	}
	if secret.String() != "Secret shop/vars" || cm.String() != "ConfigMap shop/vars" {
		t.Errorf("%s %s", secret, cm)
	}
}
