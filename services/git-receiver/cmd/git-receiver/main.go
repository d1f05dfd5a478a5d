// Command git-receiver runs the git-receiver.
package main

import (
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // an image has no system with roots of its own

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(gitreceiver.Part())) }
