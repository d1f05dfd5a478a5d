package promote

import (
	"context"
	"log/slog"
	"time"
)

// Persist does what must be done, again each second until it is: the bus may be
// away at this moment. It gives up with ctx alone, and then gives its error.
func Persist(ctx context.Context, log *slog.Logger, doing string, f func(context.Context) error) error {
	const pause = time.Second
	for err := f(ctx); err != nil; err = f(ctx) {
		log.WarnContext(ctx, "something can't be done now, trying again", "what", doing, "error", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}
