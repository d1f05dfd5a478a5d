// Command registry-receiver runs the registry-receiver.
package main

import (
	"os"

	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(registryreceiver.Part())) }
