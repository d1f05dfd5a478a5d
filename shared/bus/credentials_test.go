package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func TestAUserOfTheServerSignsInByPassword(t *testing.T) {
	url := serve(t, server.Options{Users: []*server.User{{Username: "automator", Password: "right"}}})
	bustest.Open(t, bus.Options{Name: "a", URL: url, User: "automator", Password: "right", Log: bustest.Silent()})
	for name, o := range map[string]bus.Options{
		"wrong password": {User: "automator", Password: "wr0ng"}, "no user": {}, "a token": {Token: "wr0ng"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		o.URL, o.Log = url, bustest.Silent()
		var why error
		o.Trying = func(err error) { why = err; cancel() }
		_, err := bus.Connect(ctx, o)
		cancel()
		if err == nil || why == nil || !strings.Contains(why.Error(), "refuses our credentials") || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v, tried: %v", name, err, why)
		}
	}
	if _, err := bus.Connect(t.Context(), bus.Options{URL: url, User: "a", Token: "b"}); err == nil || !strings.Contains(err.Error(), "give one of") {
		t.Errorf("two ways: %v", err)
	}
}
