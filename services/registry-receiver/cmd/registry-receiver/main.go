// Command registry-receiver runs the registry-receiver.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // an image has no system with roots of its own

	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(registryreceiver.Part())) }
