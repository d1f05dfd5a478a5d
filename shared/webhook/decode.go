package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// ErrTooLarge says that a body is over the provider's limit, or holds more
// items than are stored together: 413.
var ErrTooLarge = errors.New("the body is too large")

// Offline is a delivery to be read with nothing running.
type Offline struct {
	// Service is the receiver that it would go to.
	Service  string
	Provider Provider
	Source   Source
	Request  Request
	// Now is the time of events whose body tells none.
	Now time.Time
}

// Decode gives the events that the receiver would store, and the reasons why
// parts of the body give none. Without secrets the proof is skipped. The
// errors are those of a [Provider], and [ErrTooLarge].
func (o Offline) Decode(ctx context.Context) (all []events.Event, ignored []string, err error) {
	if int64(len(o.Request.Body)) > o.Provider.MaxBody {
		return nil, nil, fmt.Errorf("%w: %d bytes, and %d are taken", ErrTooLarge, len(o.Request.Body), o.Provider.MaxBody)
	}
	if o.Request.Header.Get("Content-Encoding") != "" {
		return nil, nil, fmt.Errorf("%w: no Content-Encoding is taken", ErrContentType)
	}
	if len(o.Source.Secrets) > 0 {
		if err := (&entry{Source: o.Source, provider: o.Provider}).verify(ctx, o.Request); err != nil {
			return nil, nil, err
		}
	}
	delivery, err := o.Provider.Read(o.Request, o.Source)
	if err == nil {
		all, err = Events(o.Service, o.Source, o.Request, delivery, o.Now)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrBody, err)
		}
	}
	if err != nil && o.Provider.Blocks {
		return nil, []string{err.Error()}, nil
	}
	return all, delivery.Ignored, err
}
