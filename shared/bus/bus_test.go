package bus_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		os.Exit(runChild(child))
	}
	goleak.VerifyTestMain(m)
}

func TestSingleServer(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Target {
		server := bustest.Server(t)
		return bustest.Target{URL: server.URL(), Stop: server.Stop, Start: func() { server.Start(t) }}
	})
}
