// Package crd holds the CustomResourceDefinitions of Slipway's documents, as
// they are installed in a cluster.
package crd

import _ "embed" // for the definitions

// Applications defines applications.slipway.dev.
//
//go:embed applications.slipway.dev.yaml
var Applications []byte
