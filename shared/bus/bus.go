package bus

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/tracing"
)

const (
	// connectTimeout bounds one attempt to reach the server.
	connectTimeout = 2 * time.Second
	// requestTimeout bounds one request whose caller gave no deadline.
	requestTimeout = 10 * time.Second
	// pullExpiry and pullHeartbeat make a request for messages that was lost,
	// as with the leader of a cluster, be noticed within two heartbeats.
	pullExpiry    = jetstream.PullExpiry(10 * time.Second)
	pullHeartbeat = jetstream.PullHeartbeat(time.Second)
	// stepTimeout bounds one step of making streams, consumers and readers,
	// which are tried again: a cluster without a leader does not answer.
	stepTimeout = 2 * time.Second
	// pingInterval has a server that a network took away without a word noticed
	// after three of them: the time-out of a request doesn't end the connection.
	pingInterval = 2 * time.Second
	// closeTimeout bounds the drain in Close.
	closeTimeout = 5 * time.Second
)

// Options say how to reach the bus.
type Options struct {
	// Name is the service's; it names the connection on the server.
	Name string
	// URL is one NATS URL or several separated by commas.
	URL string
	// CredentialsFile is a NATS .creds file; Token a plain token; User with
	// Password a user of the server's own. At most one of the three. None is
	// ever logged.
	CredentialsFile, Token, User, Password string
	// TLS is how the connection is encrypted; zero leaves it to the server.
	TLS TLS
	// Inbox is where answers come, below _INBOX: the names of the service and,
	// where it has one, of its cluster, so that a server's permissions keep one
	// service's answers from another. Empty means Name.
	Inbox []string
	// Measure is how often the server is asked for what waits and what died;
	// 10 s when zero.
	Measure time.Duration
	// Replicas is the number of servers that keep each message: 1 when zero.
	// An existing stream is raised to it and never lowered.
	Replicas int
	// Trying hears, while Connect tries, why the last attempt failed; may be nil.
	Trying func(error)
	// Log takes one line for each handled event; slog.Default() when nil.
	Log *slog.Logger
	// Metrics takes the slipway_bus_ metrics; none are shown when nil.
	Metrics prometheus.Registerer
	// Tracer makes a span for each event that is stored, and for each handler's
	// run; nil makes none.
	Tracer *tracing.Tracer
}

// Bus is a connection to the bus; it reconnects by itself for ever. Its
// methods may be called by many goroutines at once.
type Bus struct {
	log      *slog.Logger
	metrics  *metrics
	tracer   *tracing.Tracer
	replicas int
	every    time.Duration // between measurements
	nc       *nats.Conn
	js       jetstream.JetStream
	batches  chan struct{} // slots for atomic batches in flight
	told     *told

	mu      sync.Mutex
	buckets map[string]jetstream.KeyValue
	// remade is closed and replaced at each reconnect, for those who watch.
	remade chan struct{}
	repair sync.WaitGroup
	life   context.Context // ends with Close
	end    context.CancelFunc
	// unanswered is why the streams are away though the server is there.
	unanswered atomic.Pointer[error]
}

// Connect reaches the server and makes the streams that are missing. It tries
// until ctx ends, so that any service may start first; the error then says
// what failed last. A server too old for atomic batches is an error at once.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	b := &Bus{
		log: o.Log, replicas: max(o.Replicas, 1), metrics: newMetrics(o.Metrics), tracer: o.Tracer,
		batches: make(chan struct{}, maxBatches), buckets: map[string]jetstream.KeyValue{}, told: newTold(),
		remade: make(chan struct{}), every: orElse(o.Measure, 10*time.Second),
	}
	b.life, b.end = context.WithCancel(context.Background())
	if b.log == nil {
		b.log = slog.Default()
	}
	opts, err := b.natsOptions(o)
	if err != nil {
		return nil, err
	}
	err = retry(ctx, Backoff{First: 50 * time.Millisecond, Max: 2 * time.Second}, func(tries int) error {
		err := b.attempt(ctx, o.URL, opts)
		if err != nil && o.Trying != nil {
			o.Trying(err)
		}
		if err != nil && tries%10 == 1 {
			b.log.Warn("bus not ready, trying again", "error", err)
		}
		return err
	})
	if err != nil {
		b.end()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	b.repair.Go(b.watchClock)
	b.repair.Go(b.watchAnswers)
	if o.Metrics != nil {
		b.repair.Go(b.countLetters)
	}
	return b, nil
}

func (b *Bus) natsOptions(o Options) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.CustomInboxPrefix(inbox(o)),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return Backoff{First: 20 * time.Millisecond, Max: 2 * time.Second}.Delay(attempts)
		}),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a password may be put right at the server
		nats.DrainTimeout(closeTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("bus disconnected", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Warn("bus connection", "error", err)
		}),
	}
	ways := 0
	for _, given := range []bool{o.CredentialsFile != "", o.Token != "", o.User != "" || o.Password != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("connect to the bus: give one of a credentials file, a token, and a user with a password")
	}
	if o.User != "" || o.Password != "" {
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	secure, err := o.TLS.option()
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return append(opts, secure...), nil
}

func (b *Bus) attempt(ctx context.Context, url string, opts []nats.Option) error {
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return unreached(err)
	}
	b.nc = nc
	if err = checkVersion(nc.ConnectedServerVersion()); err == nil {
		if b.js, err = jetstream.New(nc); err == nil {
			nc.SetReconnectHandler(func(*nats.Conn) { b.reconnected() })
			err = b.ensureStreams(ctx)
		}
	}
	if err != nil {
		nc.Close()
	}
	return err
}

// unreached says what to look at where the server didn't take the connection.
func unreached(err error) error {
	var expired x509.CertificateInvalidError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the server refuses our credentials (bus.credentials): %w", err)
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fmt.Errorf("the server's certificate %w (renew it there, or put this machine's clock right)", err)
	}
	return fmt.Errorf("reach the server: %w", err)
}

// checkVersion errs finally on a server without atomic batches. Older
// ones drop the setting silently, so nothing else would tell.
func checkVersion(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return final{fmt.Errorf("read the server's version %q: %w", version, err)}
	}
	if major < 2 || major == 2 && minor < 12 {
		return final{fmt.Errorf("nats-server %s is too old: 2.12 or newer is needed for atomic batches", version)}
	}
	return nil
}

// reconnected runs when nats.go has a connection again.
func (b *Bus) reconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.life.Err() == nil {
		b.repair.Go(b.heal)
	}
}

// heal makes streams that a lost store took along, then wakes the queues,
// whose memory may have missed messages.
func (b *Bus) heal() {
	err := retry(b.life, Backoff{First: 50 * time.Millisecond, Max: 2 * time.Second}, func(int) error {
		return b.ensureStreams(b.life)
	})
	if err != nil {
		if b.life.Err() == nil {
			b.log.Error("bus reconnected, but its streams can't be made", "error", err)
		}
		return
	}
	b.mu.Lock()
	clear(b.buckets)
	close(b.remade)
	b.remade = make(chan struct{})
	b.mu.Unlock()
	b.log.Info("bus reconnected")
}

// nextReconnect is closed at the next reconnect.
func (b *Bus) nextReconnect() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remade
}

// Healthy errs while there is no connection to the server, or its streams don't
// answer.
func (b *Bus) Healthy() error {
	if status := b.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("bus is %s", status)
	}
	if err := b.unanswered.Load(); err != nil {
		return *err
	}
	return nil
}

// Close sends what is buffered, for at most five seconds, and ends the
// connection. End the contexts of Subscribe and Run first.
func (b *Bus) Close() {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.repair.Wait()
	if b.nc.IsConnected() {
		// Flush, not Drain: subscriptions have ended with their contexts.
		if err := b.nc.FlushTimeout(closeTimeout); err != nil {
			b.log.Warn("close the bus: flush", "error", err)
		}
	}
	b.nc.Close()
}

// bounded gives ctx a deadline when it has none, since a request to a server
// that is away would otherwise wait for ever.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, requestTimeout)
}

// lastWords is how long after its context's end a call may take to say why.
const lastWords = 50 * time.Millisecond

// inTime gives what f gives, or an error soon after ctx has ended: the client of
// NATS holds its lock while it connects anew, so that a call may come back seconds
// after its context has ended. What f does then is unknown to the caller.
func inTime[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select { // mostly it says at once what failed last
	case r := <-done:
		return r.value, r.err
	case <-time.After(lastWords):
		var none T
		return none, fmt.Errorf("the bus did not answer: %w", context.Cause(ctx))
	}
}

// jitter is d ± 25 %, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
