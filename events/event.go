package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
)

// ContentType is the media type of an encoded event.
const ContentType = "application/cloudevents+json"

// specVersion is the version of the CDEvents specification that we write.
const specVersion = "0.5.1"

var (
	// ErrUnknownType says that an event is well formed but of a type that
	// this version does not know: a listener ignores it.
	ErrUnknownType = errors.New("unknown event type")
	// ErrInvalid says that bytes are not an event that we could have made.
	ErrInvalid = errors.New("invalid event")
)

// Type is a CDEvents type with its version, such as
// "dev.cdevents.artifact.published.0.3.0".
type Type string

// Event is one fact. ID, Source, Type, Time and Subject stand in the
// CloudEvent and, equal, in the CDEvent's context.
type Event struct {
	// ID is unique per Source and is also the message id on JetStream.
	ID string
	// Source is a URI reference: "/<service>/<instance or webhook source>".
	Source string
	// Time is when it happened, in UTC.
	Time time.Time
	// ChainID names the change that this event belongs to: every event
	// carries the chain of what began it.
	ChainID string
	// Traceparent is the W3C trace context; empty when nobody traces.
	Traceparent string
	// Payload says what happened.
	Payload Payload
}

// Payload is what happened: one struct per type. The set is closed; the
// table [Kinds] lists it.
type Payload interface {
	// Type is the CDEvents type with its version.
	Type() Type
	// Key is the repository or application that the event is about. It
	// becomes the last token of the subject on NATS.
	Key() string
	// SubjectID is the CDEvents subject id.
	SubjectID() string
	// Validate returns every fault, joined, or nil.
	Validate() error

	// halves gives the standard's content and our customData.
	halves() (content, custom any)
}

// Meta is what an emitter says of an event besides its payload.
type Meta struct {
	ID, Source, ChainID, Traceparent string
	Time                             time.Time
}

// New makes an event and refuses one that [Parse] would not take back.
func New(meta Meta, payload Payload) (Event, error) {
	e := Event{
		ID: meta.ID, Source: meta.Source, ChainID: meta.ChainID, Traceparent: meta.Traceparent,
		Time: meta.Time.UTC().Truncate(time.Microsecond), Payload: payload,
	}
	if err := e.validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Type is the payload's type.
func (e Event) Type() Type { return e.Payload.Type() }

// NATSSubject is where the event is published:
// slipway.<subject>.<predicate>.<key>.
func (e Event) NATSSubject() string {
	return SubjectPrefix + "." + e.Type().Short() + "." + EncodeKey(e.Payload.Key())
}

func (e Event) validate() error {
	var faults []error
	need := func(name, value string) {
		if value == "" {
			faults = append(faults, fmt.Errorf("%s is empty", name))
		}
	}
	need("id", e.ID)
	need("source", e.Source)
	need("chainId", e.ChainID)
	for _, s := range []string{e.ID, e.Source, e.ChainID, e.Traceparent} {
		if !utf8.ValidString(s) {
			faults = append(faults, fmt.Errorf("%q is not UTF-8", s))
		}
	}
	if _, err := url.Parse(e.Source); err != nil {
		faults = append(faults, errors.New("source is not a URI reference"))
	}
	if year := e.Time.UTC().Year(); e.Time.IsZero() || year < 0 || year > 9999 {
		faults = append(faults, errors.New("time is not set, or not one of RFC 3339"))
	}
	if e.Payload == nil {
		faults = append(faults, errors.New("payload is not set"))
	} else {
		if _, known := kindOf(e.Payload.Type()); !known {
			faults = append(faults, fmt.Errorf("type %q is not in the table", e.Payload.Type()))
		}
		need("subject", e.Payload.SubjectID())
		faults = append(faults, e.Payload.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

type wireEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            Type      `json:"type"`
	Time            time.Time `json:"time"`
	Subject         string    `json:"subject"`
	DataContentType string    `json:"datacontenttype"`
	Traceparent     string    `json:"traceparent,omitempty"`
	Data            wireData  `json:"data"`
}

type wireData struct {
	Context               wireContext `json:"context"`
	Subject               wireSubject `json:"subject"`
	CustomData            any         `json:"customData,omitempty"`
	CustomDataContentType string      `json:"customDataContentType,omitempty"`
}

type wireContext struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        Type      `json:"type"`
	Timestamp   time.Time `json:"timestamp"`
	ChainID     string    `json:"chainId"`
}

type wireSubject struct {
	ID      string `json:"id"`
	Content any    `json:"content"`
}

// MarshalJSON is [Event.Encode], so that an Event can stand in other documents.
func (e Event) MarshalJSON() ([]byte, error) { return e.Encode() }

// Encode writes the event in CloudEvents' structured JSON. It errs with
// [ErrInvalid] on one that [Parse] would not take back. (json.Marshal would go
// through the result again.)
func (e Event) Encode() ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	content, custom := e.Payload.halves()
	w := wireEvent{
		SpecVersion: cloudevent.CloudEventsVersionV1, ID: e.ID, Source: e.Source, Type: e.Type(),
		Time: e.Time, Subject: e.Payload.SubjectID(), DataContentType: "application/json",
		Traceparent: e.Traceparent,
		Data: wireData{
			Context: wireContext{
				SpecVersion: specVersion, ID: e.ID, Source: e.Source, Type: e.Type(),
				Timestamp: e.Time, ChainID: e.ChainID,
			},
			Subject:    wireSubject{ID: e.Payload.SubjectID(), Content: content},
			CustomData: custom,
		},
	}
	if custom != nil {
		w.Data.CustomDataContentType = "application/json"
	}
	return json.Marshal(w)
}

// UnmarshalJSON is [Parse], so that an Event can stand in other documents.
func (e *Event) UnmarshalJSON(data []byte) error {
	parsed, err := Parse(data)
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

type readData struct {
	Context struct {
		ID        string    `json:"id"`
		Source    string    `json:"source"`
		Type      Type      `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		ChainID   string    `json:"chainId"`
	} `json:"context"`
	Subject struct {
		ID      string          `json:"id"`
		Content json.RawMessage `json:"content"`
	} `json:"subject"`
	CustomData json.RawMessage `json:"customData"`
}

// Parse reads an event. The error is [ErrUnknownType] for a well-formed event
// of a type that we do not know and [ErrInvalid] for everything else; fields
// that we do not know are ignored.
func Parse(data []byte) (Event, error) {
	var ce cloudevent.Event
	if err := json.Unmarshal(data, &ce); err != nil {
		return Event{}, fmt.Errorf("%w: read CloudEvent: %w", ErrInvalid, err)
	}
	if err := ce.Validate(); err != nil {
		return Event{}, fmt.Errorf("%w: check CloudEvent: %w", ErrInvalid, err)
	}
	if ce.SpecVersion() != cloudevent.CloudEventsVersionV1 {
		return Event{}, fmt.Errorf("%w: CloudEvents %s, not 1.0", ErrInvalid, ce.SpecVersion())
	}
	kind, known := kindOf(Type(ce.Type()))
	if !known {
		return Event{}, fmt.Errorf("%w %q", ErrUnknownType, ce.Type())
	}
	var d readData
	if err := json.Unmarshal(ce.Data(), &d); err != nil {
		return Event{}, fmt.Errorf("%w: read CDEvent: %w", ErrInvalid, err)
	}
	if err := agree(ce, d); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	payload, err := kind.decode(halves{subjectID: d.Subject.ID, content: d.Subject.Content, custom: d.CustomData})
	if err != nil {
		return Event{}, fmt.Errorf("%w: read %s: %w", ErrInvalid, ce.Type(), err)
	}
	trace, _ := ce.Extensions()["traceparent"].(string)
	return New(Meta{
		ID: ce.ID(), Source: ce.Source(), Time: ce.Time(), ChainID: d.Context.ChainID, Traceparent: trace,
	}, payload)
}

// agree holds the rule that the CloudEvent and the CDEvent's context say the
// same, so that no two readers of one event see two things.
func agree(ce cloudevent.Event, d readData) error {
	for _, pair := range []struct{ name, outer, inner string }{
		{"id", ce.ID(), d.Context.ID},
		{"source", ce.Source(), d.Context.Source},
		{"type", ce.Type(), string(d.Context.Type)},
		{"subject", ce.Subject(), d.Subject.ID},
	} {
		if pair.outer != pair.inner {
			return fmt.Errorf("%s is %q in the CloudEvent and %q in the CDEvent", pair.name, pair.outer, pair.inner)
		}
	}
	if !ce.Time().Equal(d.Context.Timestamp) {
		return fmt.Errorf("time is %s in the CloudEvent and %s in the CDEvent", ce.Time(), d.Context.Timestamp)
	}
	return nil
}
