// Package api holds the documents that users write in config repos, group
// slipway.dev/v1alpha1, and reads them strictly: an unknown field is an error
// with file and line.
package api

// Group is the API group of all documents, Version the one version there is.
const (
	Group      = "slipway.dev"
	Version    = "v1alpha1"
	APIVersion = Group + "/" + Version
)
