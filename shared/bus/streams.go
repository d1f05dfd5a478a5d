package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
)

// The streams and what their subjects begin with.
const (
	eventStream  = "SLIPWAY"
	deadStream   = "SLIPWAY_DEAD"
	replayStream = "SLIPWAY_REPLAY"
	workStream   = "SLIPWAY_WORK"

	deadPrefix   = "slipwaydead"
	replayPrefix = "slipwayreplay"
	workPrefix   = "slipwaywork"
	leasePrefix  = "slipwaylease"
)

const day = 24 * time.Hour

// Remembered is for how long the server knows the ids of events by itself.
const Remembered = time.Hour

// plainName is what the server takes as the name of a consumer.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func checkName(what, name string) error {
	if !plainName.MatchString(name) {
		return fmt.Errorf("%s %q must be letters, digits, '-' and '_'", what, name)
	}
	return nil
}

// streams are what Connect makes. Only fields set here are ours; an operator
// may set others.
func (b *Bus) streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name: eventStream, Description: "events", Subjects: []string{events.SubjectPrefix + ".>"},
			MaxAge: 30 * day, Duplicates: Remembered, AllowAtomicPublish: true, AllowDirect: true,
		},
		{
			Name: deadStream, Description: "events and work that could not be handled", Subjects: []string{deadPrefix + ".>"},
			MaxAge: 90 * day, Duplicates: time.Hour, AllowDirect: true,
		},
		{
			Name: replayStream, Description: "dead letters on their way back to one consumer", Subjects: []string{replayPrefix + ".>"},
			MaxAge: 30 * day, Duplicates: time.Hour, Retention: jetstream.WorkQueuePolicy, AllowDirect: true,
		},
		{
			// Work and leases share a stream, since the order between them
			// is what makes a lease's holder see all that came before it.
			Name: workStream, Description: "work items and their leases", Subjects: []string{workPrefix + ".>", leasePrefix + ".>"},
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, AllowMsgTTL: true, AllowDirect: true,
			Duplicates: 2 * time.Minute,
		},
	}
}

// ensureStreams may run in several services at once: each step is idempotent
// and a lost race is tried again by the caller.
func (b *Bus) ensureStreams(ctx context.Context) error {
	for _, want := range b.streams() {
		if err := b.ensureStream(ctx, want); err != nil {
			return fmt.Errorf("make stream %s: %w", want.Name, err)
		}
	}
	return nil
}

func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	want.Storage, want.Replicas = jetstream.FileStorage, b.replicas
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	has := stream.CachedInfo().Config
	merged := has
	merged.Subjects, merged.MaxAge, merged.Duplicates = want.Subjects, want.MaxAge, want.Duplicates
	merged.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	if want.MaxMsgsPerSubject > 0 {
		merged.Discard = want.Discard // else the operator's, who may have set a limit
	}
	merged.AllowAtomicPublish = want.AllowAtomicPublish
	merged.AllowMsgTTL, merged.AllowDirect = want.AllowMsgTTL, want.AllowDirect
	merged.Replicas = max(has.Replicas, want.Replicas)
	if has.MaxMsgsPerSubject <= 0 && want.MaxMsgsPerSubject == 0 {
		merged.MaxMsgsPerSubject = has.MaxMsgsPerSubject
	}
	if reflect.DeepEqual(has, merged) {
		return nil
	}
	_, err = b.js.UpdateStream(ctx, merged)
	return err
}
