package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/events"
)

func Example() {
	told := events.Delivery{Source: "ghcr-acme", SenderID: "72d3162e", Body: []byte(`{"action":"published"}`)}
	chain, id := told.IDs()
	e, err := events.New(events.Meta{
		ID: id(0), Source: "/registry-receiver/ghcr-acme", ChainID: chain, Time: time.Date(2026, 11, 23, 20, 15, 4, 0, time.UTC),
	}, events.ArtifactPublished{Artifact: events.Artifact{
		Registry: "ghcr.io", Repository: "acme/web", Tag: "1.4.2", Provider: "github", Source: "ghcr-acme",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := json.Marshal(e)
	if err != nil {
		fmt.Println(err)
		return
	}

	got, err := events.Parse(data)
	switch {
	case errors.Is(err, events.ErrUnknownType):
		fmt.Println("from a newer Slipway: ignore it")
	case err != nil:
		fmt.Println(err)
	}
	if p, ok := got.Payload.(events.ArtifactPublished); ok {
		fmt.Println(p.Image())
	}
	fmt.Println(got.NATSSubject())
	// Output:
	// ghcr.io/acme/web:1.4.2
	// slipway.artifact.published.ghcr%2Eio/acme/web
}
