package bustest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
)

func bucketTests() []suiteTest {
	return []suiteTest{
		{name: "bucket", run: bucket},
		{name: "bucket is updated by many at once", run: bucketUpdates},
		{name: "bucket with odd keys", run: bucketKeys},
		{name: "bucket is watched", run: bucketWatch},
		{name: "bucket is followed through a restart", restarts: true, run: bucketFollowed},
		{name: "services open all at once", run: allAtOnce},
	}
}

func (s *suite) bucket(b *bus.Bus, o bus.BucketOptions) *bus.Bucket {
	s.Helper()
	k, err := b.Bucket(s.Context(), "suite", o)
	s.ok(err)
	return k
}

func bucket(s *suite) {
	k := s.bucket(s.connect(), bus.BucketOptions{})
	ctx := s.Context()
	if _, err := k.Get(ctx, "a/b"); !errors.Is(err, bus.ErrNotFound) {
		s.Errorf("get of nothing: %v", err)
	}
	first, err := k.Create(ctx, "a/b", []byte("1"))
	s.ok(err)
	if _, err := k.Create(ctx, "a/b", []byte("2")); !errors.Is(err, bus.ErrExists) {
		s.Errorf("second create: %v", err)
	}
	second, err := k.Update(ctx, "a/b", []byte("2"), first)
	s.ok(err)
	if _, err := k.Update(ctx, "a/b", []byte("3"), first); !errors.Is(err, bus.ErrConflict) {
		s.Errorf("update of an old revision: %v", err)
	}
	e, err := k.Get(ctx, "a/b")
	s.ok(err)
	if e.Key != "a/b" || string(e.Value) != "2" || e.Revision != second || time.Since(e.Changed) > time.Minute {
		s.Errorf("entry: %+v", e)
	}
	s.ok(k.Delete(ctx, "a/b"))
	s.ok(k.Delete(ctx, "never/there"))
	if _, err := k.Get(ctx, "a/b"); !errors.Is(err, bus.ErrNotFound) {
		s.Errorf("get after delete: %v", err)
	}
	_, err = k.Create(ctx, "a/b", []byte("again"))
	s.ok(err)
}

// bucketUpdates has one of many win, and the others hear so: a server that
// replicates has another word for it while the first is on its way.
func bucketUpdates(s *suite) {
	k := s.bucket(s.connect(), bus.BucketOptions{})
	last, err := k.Create(s.Context(), "key", []byte("0"))
	s.ok(err)
	const many = 32
	failed := make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { _, failed[i] = k.Update(s.Context(), "key", []byte("1"), last) })
	}
	all.Wait()
	won := 0
	for _, err := range failed {
		if err == nil {
			won++
		} else if !errors.Is(err, bus.ErrConflict) {
			s.Errorf("update at the same time: %v", err)
		}
	}
	if won != 1 {
		s.Errorf("%d of %d updates of one revision were stored", won, many)
	}
}

func bucketKeys(s *suite) {
	k := s.bucket(s.connect(), bus.BucketOptions{})
	keys := []string{"a", "/", "a//b", "/a/", "a.b", "a=2Eb", "=", "ü", "a b*>%", ".", "..", "production/shop/web"}
	for _, key := range keys {
		_, err := k.Create(s.Context(), key, []byte(key))
		s.ok(err)
	}
	n := 0
	for e, err := range k.All(s.Context()) {
		s.ok(err)
		if n++; e.Key != string(e.Value) {
			s.Errorf("key %q is that of %q", e.Key, e.Value)
		}
	}
	if n != len(keys) {
		s.Errorf("listed %d of %d", n, len(keys))
	}
	if _, err := k.Put(s.Context(), "", nil); err == nil {
		s.Error("an empty key was taken")
	}
}

func bucketWatch(s *suite) {
	k := s.bucket(s.connect(), bus.BucketOptions{TTL: time.Hour})
	_, err := k.Put(s.Context(), "old", []byte("1"))
	s.ok(err)
	changes := make(chan bus.Change, 10)
	s.goes(func(ctx context.Context) error {
		for c, err := range k.Watch(ctx) {
			if err != nil {
				return err
			}
			changes <- c
		}
		return nil
	})
	next := func() bus.Change { return Receive(s.T, "a change", changes) }
	if c := next(); c.Key != "old" || c.Deleted || c.Current {
		s.Errorf("first: %+v", c)
	}
	if c := next(); !c.Current {
		s.Errorf("second: %+v", c)
	}
	_, err = k.Put(s.Context(), "new", []byte("2"))
	s.ok(err)
	if c := next(); c.Key != "new" || string(c.Value) != "2" {
		s.Errorf("third: %+v", c)
	}
	s.ok(k.Delete(s.Context(), "old"))
	if c := next(); c.Key != "old" || !c.Deleted {
		s.Errorf("fourth: %+v", c)
	}
}

// bucketFollowed holds that whoever catches up has what another connection has stored
// before, also where the watch was lost with the server.
func bucketFollowed(s *suite) {
	here, there := s.connect(), s.connect()
	k := s.bucket(there, bus.BucketOptions{})
	var mu sync.Mutex
	var has string
	f := s.bucket(here, bus.BucketOptions{}).Follow(func(c bus.Change) {
		mu.Lock()
		defer mu.Unlock()
		has = string(c.Value)
	})
	s.goes(f.Run)
	s.ok(f.Ready(s.Context()))
	stored := func(value string) {
		_, err := k.Put(s.Context(), "key", []byte(value))
		s.ok(err)
		s.ok(f.CatchUp(s.Context()))
		mu.Lock()
		defer mu.Unlock()
		if has != value {
			s.Errorf("it has caught up and has %q, not %q", has, value)
		}
	}
	for i := range 20 {
		stored(strconv.Itoa(i))
	}
	s.target.Stop()
	Until(s.T, "the loss", func() bool { return here.Healthy() != nil && there.Healthy() != nil })
	s.target.Start()
	Until(s.T, "the connections", func() bool { return here.Healthy() == nil && there.Healthy() == nil })
	stored("after it")
	s.ok(k.Delete(s.Context(), "key"))
	s.ok(f.CatchUp(s.Context()))
	if mu.Lock(); has != "" {
		s.Errorf("it has caught up and has %q, which is deleted", has)
	}
	mu.Unlock()
}

func allAtOnce(s *suite) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
			defer cancel()
			b, err := bus.Connect(ctx, bus.Options{URL: s.target.URL, Replicas: s.target.Replicas, Log: Silent()})
			if err != nil {
				s.Error(err)
				return
			}
			defer b.Close()
			if _, err := b.Bucket(ctx, "same", bus.BucketOptions{TTL: time.Hour}); err != nil {
				s.Error(err)
			}
		})
	}
	wg.Wait()
}
