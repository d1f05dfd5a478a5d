// Package webhook is the front door's common part: it limits, verifies,
// parses and stores what a sender posts, and answers only when JetStream has
// it. What is peculiar to a sender is a [Provider].
package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/slipway-cd/slipway/events"
)

var (
	// ErrProof says that the sender did not prove itself: 401.
	ErrProof = errors.New("the request does not prove its sender")
	// ErrBody says that the body is not what the provider documents: 400.
	// The error says what is wrong and where.
	ErrBody = errors.New("the body is not what the provider documents")
	// ErrContentType says that the provider never sends that type: 415.
	ErrContentType = errors.New("content type is not one that the provider sends")
)

// Request is a delivery as it arrived.
type Request struct {
	Header http.Header
	// Body is raw, as the sender signed it.
	Body []byte
}

// Source is one configured sender.
type Source struct {
	Name string
	// Host is the public host of the registry or Git host, where the config
	// gives it; bodies may tell none, or an inner one.
	Host    string
	Aliases events.Aliases
	// Secrets are accepted, any of them; none only where the config says
	// insecure: true.
	Secrets []string
}

// Delivery is what a body says.
type Delivery struct {
	// ID is the sender's own id of the delivery, or of its events.
	ID string
	// Items are in the body's order.
	Items []Item
	// Timeless says that neither ID nor the body tells a repeat from a
	// second push.
	Timeless bool
	// Ignored are reasons why something of the body gives no event.
	Ignored []string
}

// Item is one event in the making.
type Item struct {
	Payload events.Payload
	// Time is when it happened by the sender's clock; zero when not told.
	Time time.Time
}

// Ignore notes why a part of the body is of no interest.
func (d *Delivery) Ignore(format string, args ...any) {
	d.Ignored = append(d.Ignored, fmt.Sprintf(format, args...))
}

// Provider is how one kind of sender proves itself and what it says.
type Provider struct {
	// Name is what a source's config calls it.
	Name string
	// MaxBody is the default limit in bytes.
	MaxBody int64
	// Blocks says that a 4xx makes the sender stop sending: a verified body
	// that can't be read is answered 2xx, and logged and counted.
	Blocks bool
	// Verify holds the proof against the secrets, of which there is at least
	// one. It errs with [ErrProof].
	Verify func(r Request, secrets []string) error
	// Parse reads a verified delivery. It errs with [ErrBody] and
	// [ErrContentType].
	Parse func(r Request, s Source) (Delivery, error)
}

// MiB is the usual limit.
const MiB = 1 << 20
