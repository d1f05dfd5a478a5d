// Command synchronizer runs the Deploy Synchronizer.
package main

import (
	"os"

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() {
	kube.LogTo(os.Stderr)
	os.Exit(service.Main(synchronizer.Part()))
}
