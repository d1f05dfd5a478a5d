package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a bucket refuses.
var (
	// ErrNotFound says that the key is not in the bucket.
	ErrNotFound = errors.New("key not found")
	// ErrExists says that the key is already there.
	ErrExists = errors.New("key exists")
	// ErrConflict says that the key has changed since that revision.
	ErrConflict = errors.New("key has changed")
	// ErrTooLarge says that a value has more bytes than the server takes in a message.
	ErrTooLarge = errors.New("value is too large")
)

// BucketOptions say how a bucket keeps its entries. They are set by whoever
// makes the bucket.
type BucketOptions struct {
	// TTL is how long an entry stays after its last change: for ever when zero.
	TTL time.Duration
}

// Bucket is small durable state: a key-value store shared by all services.
// Keys are any strings but the empty one.
type Bucket struct {
	bus  *Bus
	name string
	o    BucketOptions
}

// Entry is one key's value.
type Entry struct {
	Key   string
	Value []byte
	// Revision grows with each change in the bucket; Update wants it.
	Revision uint64
	// Changed is the server's time of the last change.
	Changed time.Time
}

// Change is a step of a watch.
type Change struct {
	Entry
	// Deleted says that the key is gone; Value is then empty.
	Deleted bool
	// Current marks the moment at which the watch has told everything that
	// was there when it began. Key is empty.
	Current bool
}

// Bucket opens the bucket of that name (letters, digits, '-', '_') and makes
// it where it is missing. Like Connect it tries until ctx ends.
func (b *Bus) Bucket(ctx context.Context, name string, o BucketOptions) (*Bucket, error) {
	if err := checkName("bucket", name); err != nil {
		return nil, err
	}
	bucket := &Bucket{bus: b, name: "slipway-" + name, o: o}
	err := retry(ctx, Backoff{First: 50 * time.Millisecond, Max: 2 * time.Second}, func(int) error {
		try, cancel := context.WithTimeout(ctx, stepTimeout)
		defer cancel()
		_, err := bucket.kv(try)
		return onlyPassing(err)
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return bucket, nil
}

func (k *Bucket) kv(ctx context.Context) (jetstream.KeyValue, error) {
	return k.bus.keyValue(ctx, k.name, k.o)
}

// keyValue opens a bucket once for each connection: it might be gone with the
// server's store after a reconnect.
func (b *Bus) keyValue(ctx context.Context, name string, o BucketOptions) (jetstream.KeyValue, error) {
	b.mu.Lock()
	kv := b.buckets[name]
	b.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	config := jetstream.KeyValueConfig{
		Bucket: name, History: 1, TTL: o.TTL, Storage: jetstream.FileStorage, Replicas: b.replicas,
	}
	if o.TTL > 0 {
		config.LimitMarkerTTL = time.Minute // so that watchers see entries end
	}
	err := retry(ctx, publishBackoff, func(int) (err error) {
		// A stream without a leader doesn't answer, and who asks may have minutes.
		try, cancel := context.WithTimeout(ctx, stepTimeout)
		defer cancel()
		if kv, err = b.js.KeyValue(try, name); errors.Is(err, jetstream.ErrBucketNotFound) {
			kv, err = b.js.CreateKeyValue(try, config)
		}
		if errors.Is(err, jetstream.ErrBucketExists) || codeOf(err) == jetstream.JSErrCodeStreamNameInUse {
			return err // made by another service just now: open it
		}
		return onlyPassing(err)
	})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buckets[name] = kv
	return kv, nil
}

// once are the verbs that mean something else when they are repeated: whether
// a lost try was stored is for the caller to find out.
var once = map[string]bool{"create": true, "update": true}

// do runs one request on the bucket and gives its error the bucket's words. An
// answer that was lost with its connection is not waited for longer than
// attemptTimeout: the request is repeated where that is safe.
func (k *Bucket) do(ctx context.Context, verb, key string, f func(ctx context.Context, kv jetstream.KeyValue, key string) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	encoded, err := encodeBucketKey(key)
	if err == nil {
		err = retry(ctx, publishBackoff, func(int) error {
			kv, err := k.kv(ctx)
			if err != nil {
				return final{err}
			}
			try, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			if err = f(try, kv, encoded); err != nil && once[verb] {
				return final{err}
			}
			return onlyPassing(err)
		})
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		err = ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists):
		err = ErrExists
	case errors.Is(err, nats.ErrMaxPayload):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%s %q in %s: %w", verb, key, k.name, err)
}

// Get reads a key; the error is [ErrNotFound] where there is none.
func (k *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	var e Entry
	err := k.do(ctx, "get", key, func(ctx context.Context, kv jetstream.KeyValue, encoded string) error {
		got, err := kv.Get(ctx, encoded)
		if err != nil {
			return err
		}
		e = Entry{Key: key, Value: got.Value(), Revision: got.Revision(), Changed: got.Created()}
		return nil
	})
	return e, err
}

// Put writes a key whatever was there and returns its new revision.
func (k *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = k.do(ctx, "put", key, func(ctx context.Context, kv jetstream.KeyValue, encoded string) (err error) {
		revision, err = kv.Put(ctx, encoded, value)
		return err
	})
	return revision, err
}

// Create writes a key that is not there; the error is [ErrExists] where it is.
func (k *Bucket) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = k.do(ctx, "create", key, func(ctx context.Context, kv jetstream.KeyValue, encoded string) (err error) {
		revision, err = kv.Create(ctx, encoded, value)
		return err
	})
	return revision, err
}

// Update writes a key that still has that revision; the error is
// [ErrConflict] where it has not.
func (k *Bucket) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	err = k.do(ctx, "update", key, func(ctx context.Context, kv jetstream.KeyValue, encoded string) (err error) {
		revision, err = kv.Update(ctx, encoded, value, last)
		if isWrongLast(err) || errors.Is(err, jetstream.ErrKeyExists) {
			return ErrConflict
		}
		return err
	})
	return revision, err
}

// Delete removes a key; one that isn't there is no error.
func (k *Bucket) Delete(ctx context.Context, key string) error {
	return k.do(ctx, "delete", key, func(ctx context.Context, kv jetstream.KeyValue, encoded string) error {
		return kv.Delete(ctx, encoded)
	})
}

// All goes through the entries as they are, in no order.
func (k *Bucket) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		for c, err := range k.Watch(ctx) {
			switch {
			case err != nil:
				yield(Entry{}, err)
				return
			case c.Current:
				return
			case !c.Deleted && !yield(c.Entry, nil):
				return
			}
		}
		yield(Entry{}, fmt.Errorf("list %s: %w", k.name, context.Cause(ctx)))
	}
}

// Watch goes through the entries as they are, then, after [Change.Current],
// through every change until ctx ends.
func (k *Bucket) Watch(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		kv, err := k.kv(ctx)
		if err != nil {
			yield(Change{}, fmt.Errorf("watch %s: %w", k.name, err))
			return
		}
		// Each request of a watcher may take as long as its context, which may be
		// minutes; with none it takes the client's own few seconds.
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		watcher, err := kv.WatchAll(watching)
		if err != nil {
			yield(Change{}, fmt.Errorf("watch %s: %w", k.name, err))
			return
		}
		defer func() { _ = watcher.Stop() }() // it errs when ctx has stopped it
		seen, early := false, false
		for {
			select {
			case <-ctx.Done():
				return
			case got, ok := <-watcher.Updates():
				if !ok {
					return
				}
				if got == nil && !seen {
					if early, err = k.marksEarly(ctx, kv); err != nil {
						yield(Change{}, err)
						return
					}
					if early {
						continue
					}
				}
				seen = true
				change, err := changeOf(got)
				if !yield(change, err) {
					return
				}
				if early && got != nil && got.Delta() == 0 {
					if early = false; !yield(Change{Current: true}, nil) {
						return
					}
				}
			}
		}
	}
}

// marksEarly says whether a mark that came before any entry came too early. The
// client sets it where the server says that nothing is pending, and so it does
// also when it has sent everything before that answer.
func (k *Bucket) marksEarly(ctx context.Context, kv jetstream.KeyValue) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return false, fmt.Errorf("watch %s: %w", k.name, err)
	}
	return status.Values() > 0, nil
}

func changeOf(got jetstream.KeyValueEntry) (Change, error) {
	if got == nil {
		return Change{Current: true}, nil
	}
	key, err := decodeBucketKey(got.Key())
	return Change{
		Entry:   Entry{Key: key, Value: got.Value(), Revision: got.Revision(), Changed: got.Created()},
		Deleted: got.Operation() != jetstream.KeyValuePut,
	}, err
}

const hexDigits = "0123456789ABCDEF"

// encodeBucketKey makes a JetStream key of any string: '/' parts its tokens,
// a byte that is neither letter, digit, '-' nor '_' is '=' and two hex digits
// (EncodeKey's '%' is refused there), and an empty token a lone '='.
func encodeBucketKey(key string) (string, error) {
	if key == "" {
		return "", errors.New("the key is empty")
	}
	var b strings.Builder
	for i, token := range strings.Split(key, "/") {
		if i > 0 {
			b.WriteByte('.')
		}
		if token == "" {
			b.WriteByte('=')
		}
		for j := range len(token) {
			c := token[j]
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
				b.WriteByte(c)
				continue
			}
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String(), nil
}

func decodeBucketKey(encoded string) (string, error) {
	var b strings.Builder
	for i, token := range strings.Split(encoded, ".") {
		if i > 0 {
			b.WriteByte('/')
		}
		if token == "=" {
			continue
		}
		for j := 0; j < len(token); j++ {
			if token[j] != '=' {
				b.WriteByte(token[j])
				continue
			}
			if j+2 >= len(token) {
				return "", fmt.Errorf("read bucket key %q: '=' lacks two hex digits", encoded)
			}
			hi, lo := strings.IndexByte(hexDigits, token[j+1]), strings.IndexByte(hexDigits, token[j+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("read bucket key %q: '=' lacks two hex digits", encoded)
			}
			b.WriteByte(byte(hi<<4 | lo))
			j += 2
		}
	}
	return b.String(), nil
}
