package promote_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

// BenchmarkDecide decides on an image that arrived, with one application in
// the repo and with 5,000 of which two use it: the cost is that of the two.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 5000} {
		b.Run(fmt.Sprintf("applications=%d", n), func(b *testing.B) {
			files := map[string]string{}
			for i := 1; i < n; i++ {
				name := fmt.Sprintf("app-%d", i)
				files["cluster/"+name+".yaml"] = application(name, "shop", "apps/"+name)
				files["apps/"+name+"/pod.yaml"] = pod(fmt.Sprintf("ghcr.io/acme/app-%d:1.0.0", i/2)) // two of each
			}
			f := start(b, files)
			must(b, f.work("head"))
			image := events.ImageRepository{Host: "ghcr.io", Path: "acme/app-1"}
			want := 2
			if n == 1 {
				image.Path, want = "acme/web", 1
			}
			for i := range 100 {
				must(b, f.tags.Put(b.Context(), image, promote.Known{
					Tag: fmt.Sprintf("1.1.%d", i), Digest: digestA, Chain: fmt.Sprint("chain-", i), At: time.Now(),
				}))
			}
			decide := f.deploy.Deciding(f.key, image.String()+":1.1.99")
			for b.Loop() {
				if got := decide(); got != want {
					b.Fatalf("decided %d times, want %d", got, want)
				}
			}
		})
	}
}
