// Command git-receiver runs the git-receiver.
package main

import (
	"os"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	"github.com/slipway-cd/slipway/shared/service"
)

func main() { os.Exit(service.Main(gitreceiver.Part())) }
