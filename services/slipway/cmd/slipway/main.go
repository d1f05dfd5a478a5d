// Command slipway is the command, and with `slipway up` all services in one
// process.
package main

import (
	"os"

	"github.com/slipway-cd/slipway/services/slipway"
)

func main() { os.Exit(slipway.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
