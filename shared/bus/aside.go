package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// ErrAside says that a dead letter was never an event, so that there is
// nobody to give it back to.
var ErrAside = errors.New("it was put aside unread, and can't be replayed")

// maxAside is how much of a body is kept: a person must see what it is, and
// the server takes no message over 1 MiB.
const maxAside = 256 << 10

// PutAside makes a dead letter of a body that service could not read, as it
// came from source: for senders that would stop at an error. The same body
// from the same source is kept once.
func (b *Bus) PutAside(ctx context.Context, service, source string, body []byte, reason error) error {
	l := letter{
		Consumer: service, Subject: "aside." + events.EncodeKey(source), Reason: reason.Error(), Tries: 1,
		Stored: time.Now().UTC(), Aside: true,
	}
	l.hold(body[:min(len(body), maxAside)])
	sum := sha256.Sum256(body)
	if err := b.writeLetter(ctx, "aside/"+service+"/"+source+"/"+hex.EncodeToString(sum[:]), l); err != nil {
		return fmt.Errorf("put aside what %s sent: %w", source, err)
	}
	return nil
}
