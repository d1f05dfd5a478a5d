// Command automator runs the Deploy Automator.
package main

import (
	"os"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(automator.Part())) }
