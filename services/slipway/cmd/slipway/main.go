// Command slipway is the command, and with `slipway up` all services in one
// process.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // an image has no system with roots of its own

	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

func main() {
	render.Child()
	kube.LogTo(os.Stderr)
	os.Exit(slipway.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
