// Package manifest finds the image references of manifests and edits them in
// place: only the bytes of the reference change.
package manifest
