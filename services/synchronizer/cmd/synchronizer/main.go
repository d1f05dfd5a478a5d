// Command synchronizer runs the Deploy Synchronizer.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // an image has no system with roots of its own

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() {
	render.Child()
	kube.LogTo(os.Stderr)
	os.Exit(service.Main(synchronizer.Part()))
}
