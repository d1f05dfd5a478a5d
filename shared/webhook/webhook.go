// Package webhook is the front door's common part: it limits, verifies,
// parses and stores what a sender posts, and answers only when JetStream has
// it. What is peculiar to a sender is a [Provider].
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/service"
)

var (
	// ErrProof says that the sender did not prove itself: 401.
	ErrProof = errors.New("the request does not prove its sender")
	// ErrForbidden says that the sender is who it is, and may not do this:
	// 403.
	ErrForbidden = errors.New("the sender may not send this")
	// ErrBody says that the body is not what the provider documents: 400.
	// The error says what is wrong and where.
	ErrBody = errors.New("the body is not what the provider documents")
	// ErrContentType says that the provider never sends that type: 415.
	ErrContentType = errors.New("content type is not one that the provider sends")
)

// Request is a delivery as it arrived.
type Request struct {
	Header http.Header
	// Query are the parameters behind the path.
	Query url.Values
	// TokenFits says that the path had a token, /hooks/{source}/{token}, and
	// that it is one of the secrets.
	TokenFits bool
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
	// Config is the source as the config has it, for what only one provider
	// reads.
	Config service.Source
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
	// Reply is the answer that a handshake wants instead of ours.
	Reply *Reply
}

// Reply is an answer of a provider's own, as handshakes want it.
type Reply struct {
	Status int
	Header map[string]string
	Body   any // written as JSON; nil for none
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

// Read parses a verified body. What gives nothing has a reason for it.
func (p Provider) Read(r Request, s Source) (Delivery, error) {
	d, err := p.Parse(r, s)
	if err == nil && len(d.Items) == 0 && len(d.Ignored) == 0 && d.Reply == nil {
		d.Ignore("it names nothing that was pushed or deleted")
	}
	return d, err
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
	// Sign puts the proof that Verify takes into the headers, as the sender
	// does; nil where it lies in the address or only the sender can make it.
	Sign Signer
	// SignBy gives what stands for Sign where a source's config chooses another
	// way, else nil. h are the headers of the request. It errs with
	// [ErrCannotSign].
	SignBy func(s service.Source, h http.Header) (Signer, error)
	// SignURL puts the proof into the address, where a sender has nothing else.
	SignURL func(u *url.URL, secret string)
	// Prove replaces Verify where the proof needs more than secrets, such as
	// a sender's public keys. It errs with [ErrProof] or [ErrForbidden]; any
	// other error is 503, so that the sender tries again.
	Prove func(ctx context.Context, r Request, s Source) error
	// NoSecrets says that Prove needs none: the config may leave them out.
	NoSecrets bool
	// Check gives the faults of a source's config that only this provider
	// knows; it may be nil.
	Check func(s service.Source) error
	// Takes says by its config whether a source is for this provider, where
	// both receivers have one of that name and no header tells; nil takes all.
	Takes func(s service.Source) bool
	// Wants says by its headers whether a request is for this provider,
	// where both receivers have one of that name; nil wants all.
	Wants func(h http.Header) bool
	// Options answers the OPTIONS of a handshake; nil means 405.
	Options func(r Request, s Source) Reply
	// Parse reads a verified delivery. It errs with [ErrBody] and
	// [ErrContentType].
	Parse func(r Request, s Source) (Delivery, error)
	// Setup is how to set it up at the sender.
	Setup Setup
}

// Setup is a recipe for one provider: what a person does at the sender.
type Setup struct {
	// Where to click, Events to choose there, Secret to set, each a
	// sentence.
	Where, Events, Secret string
	// Tried is how we tried it.
	Tried Tried
}

// Tried says how a provider was tried.
type Tried string

// The ways to try a provider.
const (
	Live      Tried = "live"      // against the real, unchanged sender
	Captured  Tried = "captured"  // with deliveries that a real sender made
	Documents Tried = "documents" // with what the vendor's documents show
)

// MiB is the usual limit.
const MiB = 1 << 20
