// Package events is Slipway's contract: what its services say to each other
// and to every subscriber on NATS.
//
// An event is a CloudEvent 1.0 in structured JSON whose data is a CDEvent
// 0.5.1. Events are facts in the past tense; commands do not travel. The
// table [Kinds] lists every type with its emitter and its listeners; [New]
// and [Parse] are the only doors.
package events

//go:generate go test -count=1 -run ^TestSchemas . -update
//go:generate go test -count=1 -run ^TestReadme . -update
//go:generate go test -count=1 -run ^TestAsyncAPI . -update
