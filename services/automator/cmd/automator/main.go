// Command automator runs the Deploy Automator.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // an image has no system with roots of its own

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/shared/render"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() {
	render.Child()
	os.Exit(service.Main(automator.Part()))
}
