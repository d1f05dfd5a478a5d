package events

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// namespace is the root of all ids that we derive by UUIDv5 (RFC 9562, 5.5).
var namespace = uuid.MustParse("5e9b1d0c-6a5e-5f0e-9a55-7d1f2f1b7a01")

// derive is UUIDv5 over parts that can't run into each other: each is
// preceded by its length.
func derive(parts ...string) string {
	var name []byte
	for _, p := range parts {
		name = binary.BigEndian.AppendUint64(name, uint64(len(p)))
		name = append(name, p...)
	}
	return uuid.NewSHA1(namespace, name).String()
}

// Delivery names one delivery of a webhook. What is equal for a repeat gives
// equal ids, so that a delivery told twice is stored once.
type Delivery struct {
	// Source is the name of the webhook source in the receiver's config.
	Source string
	// SenderID is the sender's own delivery or event id; empty when it has
	// none.
	SenderID string
	// Body is the raw body.
	Body []byte
	// Timeless says that neither SenderID nor a time in the body tells a
	// repeat from a second push: ids are then random.
	Timeless bool
}

// IDs derives the chain of the delivery and a function that gives the id of
// its item i.
func (d Delivery) IDs() (chain string, item func(i int) string) {
	if d.SenderID == "" && d.Timeless {
		return uuid.NewString(), func(int) string { return uuid.NewString() }
	}
	sum := sha256.Sum256(d.Body)
	chain = derive("chain", d.Source, d.SenderID, string(sum[:]))
	return chain, func(i int) string {
		return derive("event", d.Source, d.SenderID, strconv.Itoa(i), string(sum[:]))
	}
}

// FollowID is the id of an event of type t about key that follows from the
// event or commit named cause.
func FollowID(cause string, t Type, key string) string {
	return derive("follow", cause, string(t), key)
}

// ChainFor is the chain of a change that no event began, such as a person's
// commit, named by what began it.
func ChainFor(cause ...string) string {
	return derive(append([]string{"chain-for"}, cause...)...)
}
