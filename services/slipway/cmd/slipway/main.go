// Command slipway is the command, and with `slipway up` all services in one
// process.
package main

import (
	"os"

	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/kube"
)

func main() {
	kube.LogTo(os.Stderr)
	os.Exit(slipway.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
