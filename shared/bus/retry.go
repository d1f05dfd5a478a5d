package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backoff is a row of growing delays.
type Backoff struct {
	// First is the delay after the first failure; each later one doubles it.
	First time.Duration
	// Max bounds the delay.
	Max time.Duration
}

// Delay is the wait after failure number tries, counted from 1, with 25 % of
// jitter either way.
func (b Backoff) Delay(tries int) time.Duration {
	d := b.First
	for range tries - 1 {
		if d >= b.Max {
			break
		}
		d *= 2
	}
	return jitter(min(d, b.Max))
}

func (b Backoff) orElse(first, most time.Duration) Backoff {
	if b.First <= 0 {
		b.First = first
	}
	if b.Max <= 0 {
		b.Max = most
	}
	return b
}

type permanentError struct{ err error }

func (p permanentError) Error() string { return p.err.Error() }
func (p permanentError) Unwrap() error { return p.err }

// Permanent marks an error that no repeat can heal: the event or work item
// goes to the dead letters at once, with err as the reason. Permanent(nil) is
// nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

func isPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// final ends a retry: no repeat heals it. Unlike [Permanent] it does not leave
// this package, so that an error of the bus never makes a dead letter.
type final struct{ error }

// retry calls f until it returns nil, a final error, or ctx ends; f gets the
// number of the try, from 1.
func retry(ctx context.Context, b Backoff, f func(tries int) error) error {
	for tries := 1; ; tries++ {
		err := f(tries)
		if err == nil {
			return nil
		}
		if stop, ok := err.(final); ok { //nolint:errorlint // only f's own word counts
			return stop.error
		}
		if !sleep(ctx, b.Delay(tries)) {
			return fmt.Errorf("%w, last: %w", context.Cause(ctx), err)
		}
	}
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
