package webhooktest

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// storing is WEBHOOKS.md Z 12: told again, at once and by many.
func (c *caller) storing(t *testing.T) {
	t.Helper()
	// Blanks behind the JSON make a delivery that this test alone has sent.
	r := c.signed(Secret, append(slices.Clone([]byte(c.push.Body)), " \n \n"...))
	if d, err := c.provider.Read(r, c.suite.source(c.provider)); err == nil && d.Timeless && d.ID == "" {
		c.timeless(t, r)
		return
	}
	t.Run("a delivery told again is stored once, with the same ids", func(t *testing.T) {
		first := c.post(t, r)
		if first.status != http.StatusAccepted {
			t.Fatalf("answered %d %s", first.status, first.body)
		}
		_, ids := first.told(t)
		if len(ids) == 0 {
			t.Fatal("the push gives no event")
		}
		answers := make(chan answer, 8)
		for range cap(answers) {
			go func() { answers <- c.post(t, r) }()
		}
		for range cap(answers) {
			if got := <-answers; got.status != http.StatusAccepted || got.body != first.body {
				t.Errorf("answered %d %s, first %s", got.status, got.body, first.body)
			}
		}
		times := 0
		for _, id := range c.stored(t) {
			if id == ids[0] {
				times++
			}
		}
		if times != 1 {
			t.Errorf("stored %d times", times)
		}
	})
	t.Run("the same delivery id with another body is another delivery", func(t *testing.T) {
		chain, ids := c.post(t, r).told(t)
		other := c.signed(Secret, append(slices.Clone(r.Body), '\n'))
		chain2, ids2 := c.post(t, other).told(t)
		if chain == chain2 || slices.Equal(ids, ids2) || !slices.Contains(c.stored(t), ids2[0]) {
			t.Errorf("chains %s and %s, ids %v and %v", chain, chain2, ids, ids2)
		}
	})
}

// timeless holds that what can't be told from a second push is one: WEBHOOKS.md
// 1.3, Quay.
func (c *caller) timeless(t *testing.T, r webhook.Request) {
	t.Helper()
	t.Run("a body without time or id, told twice, is two pushes", func(t *testing.T) {
		_, first := c.post(t, r).told(t)
		_, second := c.post(t, r).told(t)
		stored := c.stored(t)
		if len(first) == 0 || slices.Equal(first, second) || !slices.Contains(stored, first[0]) || !slices.Contains(stored, second[0]) {
			t.Errorf("ids %v and %v", first, second)
		}
	})
}

// away stops the bus (WEBHOOKS.md Z 29).
func (b *bed) away(t *testing.T) {
	b.server.Stop()
	var calls []*caller
	for _, p := range b.suite.Table {
		calls = append(calls, &caller{bed: b, provider: p, sender: b.suite.Senders[p.Name], push: b.suite.load(t, b.suite.Dir+"/"+p.Name+"/push.json")})
	}
	body := func(c *caller) []byte { return append(slices.Clone([]byte(c.push.Body)), "\n\n\n"...) }
	var all sync.WaitGroup // each waits for as long as a sender would
	for _, c := range calls {
		all.Go(func() {
			got := c.post(t, c.signed(Secret, body(c)))
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: answered %d, Retry-After %q", c.provider.Name, got.status, got.header.Get("Retry-After"))
			}
		})
	}
	all.Wait()
	b.server.Start(t)
	for _, c := range calls {
		got := c.post(t, c.signed(Secret, body(c)))
		if got.status != http.StatusAccepted {
			t.Fatalf("%s: told again, answered %d %s", c.provider.Name, got.status, got.body)
		}
		if _, ids := got.told(t); !slices.Contains(b.stored(t), ids[0]) {
			t.Errorf("%s: told again, not stored", c.provider.Name)
		}
	}
}
