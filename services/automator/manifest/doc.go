// Package manifest finds the image references of manifests and edits them in
// place: only the bytes of the reference change. The README of the service
// says what is a reference, and what is refused.
package manifest
