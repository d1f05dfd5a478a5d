// Command synchronizer runs the Deploy Synchronizer.
package main

import (
	"os"

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(synchronizer.Part())) }
