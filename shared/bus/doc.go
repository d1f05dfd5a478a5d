// Package bus is how Slipway's services speak to each other and keep their
// work: events, durable work and small state, all on NATS JetStream.
//
// What was published is stored before [Bus.Publish] returns; a handler sees
// every event at least once, again and again until it returns nil, and what
// can't be handled ends among the dead letters, never nowhere. Retry, time-out,
// recovery from panics, the log line and the metrics of every handler live
// here and only here, and nats.go is imported by no other package.
//
// A handler is meant to be quick: its first act is to turn the event into an
// item of a [Queue], where each key has its own back-off.
package bus
