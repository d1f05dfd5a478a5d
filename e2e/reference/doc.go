// Package reference writes the page that lists every metric, every event and
// every field of the config, from the code that has them.
package reference

//go:generate go test -count=1 -run ^TestTheReferenceIsFresh$ . -update
