package promote

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/slipway-cd/slipway/events"
)

func TestASetHasWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	image := func(n int) events.ImageRepository {
		r, err := events.ParseImageRepository(fmt.Sprintf("ghcr.io/acme/web-%d", n), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, n := range []int{0, 1, 2, 3, 1000} {
		var all []events.ImageRepository
		for i := range n {
			all = append(all, image(i), image(i))
		}
		data, err := json.Marshal(setOf(all))
		if err != nil {
			t.Fatal(err)
		}
		var set imageSet
		if err := json.Unmarshal(data, &set); err != nil || set == nil {
			t.Fatalf("%s is read as %v, %v", data, set, err)
		}
		for i := range n {
			if !set.has(image(i)) {
				t.Errorf("the set of %d lacks number %d", n, i)
			}
		}
		more := 0
		for i := n; i < n+1000; i++ {
			if set.has(image(i)) {
				more++
			}
		}
		if more > 1 {
			t.Errorf("the set of %d has %d of a thousand others", n, more)
		}
	}
	var unknown Head
	if err := json.Unmarshal([]byte(`{"commit":"1"}`), &unknown); err != nil || !unknown.Uses.has(image(1)) {
		t.Errorf("who has told of no images uses none: %v", err)
	}
}
