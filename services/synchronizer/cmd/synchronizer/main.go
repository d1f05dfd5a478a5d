// Command synchronizer runs the Deploy Synchronizer.
package main

import (
	"os"

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
