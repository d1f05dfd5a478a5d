// Package crd holds the CustomResourceDefinitions of Slipway's documents, as
// they are installed in a cluster.
package crd

import _ "embed" // for the definitions

// Applications defines applications.slipway.dev.
//
//go:embed applications.slipway.dev.yaml
var Applications []byte

// Projects defines projects.slipway.dev.
//
//go:embed projects.slipway.dev.yaml
var Projects []byte

// All are the definitions, in the order in which they are installed.
func All() [][]byte { return [][]byte{Applications, Projects} }
