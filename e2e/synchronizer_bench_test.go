package e2e_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

// BenchmarkSynchronizer changes one application of many, told by an event, and
// reports the medians until its sync begins, and until it is applied and
// healthy (a ConfigMap is both at once).
// SLIPWAY_BENCH_APPS says how many there are (50).
func BenchmarkSynchronizer(b *testing.B) {
	const releases = 20
	count, err := strconv.Atoi(os.Getenv("SLIPWAY_BENCH_APPS"))
	if err != nil {
		count = 50
	}
	bed := newSyncBed(b)
	files := map[string]string{}
	var applications strings.Builder
	for i := range count {
		name := fmt.Sprintf("a%04d", i)
		manifest := strings.Replace(webManifest(name, syncRegistry+"/acme/web:1.0.0"), "spec:\n", "spec:\n  replicas: 0\n", 1)
		files["apps/"+name+"/web.yaml"] = manifest
		files["apps/"+name+"/cm.yaml"] = settings(name, "0")
		applications.WriteString(application("shop", name, bed.url, "apps/"+name, "  sync: {resync: 24h}\n"))
	}
	first := bed.push(b, "first", files)
	bed.begin(b)
	installed := time.Now()
	must(b, bed.cluster.Apply(b.Context(), applications.String()))
	created := time.Since(installed)
	must(b, parts.Eventually(b.Context(), 5*time.Minute, func() error {
		ready := bed.count(func(e events.Event) bool { return hasOutcome(events.Success, first)(e) })
		if ready < count {
			return fmt.Errorf("%d of %d are ready", ready, count)
		}
		return nil
	}))
	b.Logf("%d applications: kubectl made them in %s, all ready after %s", count, created.Round(time.Millisecond), time.Since(installed).Round(time.Millisecond))
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.Logf("heap of the test with synchronizer, bus and Git server: %d MiB", memory.HeapAlloc>>20)

	for b.Loop() {
		var started, healthy []time.Duration
		for i := range releases {
			name := fmt.Sprintf("a%04d", (i*37)%count)
			c := bed.push(b, "release", map[string]string{"apps/" + name + "/cm.yaml": settings(name, fmt.Sprint(time.Now().UnixNano()))})
			told := time.Now()
			bed.tell(b, c)
			begin := bed.hears(b, events.PipelineRunStartedType, "test/shop/"+name, onChain("hook-chain-"+c))
			end := bed.hears(b, events.PipelineRunFinishedType, "test/shop/"+name, hasOutcome(events.Success, c))
			started, healthy = append(started, begin.Time.Sub(told)), append(healthy, end.Time.Sub(told))
		}
		slices.Sort(started)
		slices.Sort(healthy)
		b.ReportMetric(float64(started[releases/2].Microseconds())/1000, "ms-told-to-started")
		b.ReportMetric(float64(healthy[releases/2].Microseconds())/1000, "ms-told-to-healthy")
		b.ReportMetric(float64(healthy[releases-1].Microseconds())/1000, "ms-told-to-healthy-worst")
	}
}

// count says how many different applications told of what ok wants.
func (b *syncBed) count(ok func(events.Event) bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range b.heard {
		if e.Type() == events.PipelineRunFinishedType && ok(e) {
			seen[e.Payload.Key()] = true
		}
	}
	return len(seen)
}

// BenchmarkSharedBase changes the base of many applications, and then takes an
// object from it: each of them asks whether another one wants it. It reports both for
// one application, and how many times the change the taking is.
// SLIPWAY_BENCH_APPS says how many there are (200).
func BenchmarkSharedBase(b *testing.B) {
	count, err := strconv.Atoi(os.Getenv("SLIPWAY_BENCH_APPS"))
	if err != nil {
		count = 200
	}
	bed := newSyncBed(b)
	files := map[string]string{"base/kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "base/a.yaml": settings("a", "0"), "base/b.yaml": settings("b", "0")}
	var applications strings.Builder
	for i := range count {
		name := fmt.Sprintf("a%04d", i)
		files["apps/"+name+"/kustomization.yaml"] = "resources: [../../base]\nnamePrefix: " + name + "-\n"
		applications.WriteString(application("shop", name, bed.url, "apps/"+name, "  sync: {resync: 24h}\n"))
	}
	first := bed.push(b, "first", files)
	bed.begin(b)
	must(b, bed.cluster.Apply(b.Context(), applications.String()))
	applied := func(commit string) time.Duration {
		began := time.Now()
		must(b, parts.Eventually(b.Context(), 10*time.Minute, func() error {
			if ready := bed.count(hasOutcome(events.Success, commit)); ready < count {
				return fmt.Errorf("%d of %d are ready", ready, count)
			}
			return nil
		}))
		return time.Since(began)
	}
	applied(first)
	release := func(files map[string]string) time.Duration {
		commit := bed.push(b, "release", files)
		bed.tell(b, commit)
		return applied(commit)
	}
	for b.Loop() {
		release(map[string]string{"base/kustomization.yaml": "resources: [a.yaml, b.yaml] # again\n"})
		changed := release(map[string]string{"base/a.yaml": settings("a", fmt.Sprint(time.Now().UnixNano()))})
		taken := release(map[string]string{"base/kustomization.yaml": "resources: [a.yaml]\n"})
		b.ReportMetric(float64(changed.Microseconds())/1000/float64(count), "ms-changed/application")
		b.ReportMetric(float64(taken.Microseconds())/1000/float64(count), "ms-taken/application")
		b.ReportMetric(float64(taken)/float64(changed), "times-the-change")
	}
}
