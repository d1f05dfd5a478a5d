// Command subscribe prints Slipway's events, by a durable consumer that is
// there.
//
//	NATS_URL=nats://deck:secret@localhost:4222 subscribe -name deck -inbox _INBOX.deck
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
)

func main() {
	name := flag.String("name", "", "of the durable consumer: what was read is kept under it")
	inbox := flag.String("inbox", "_INBOX", "where answers come: a server may let each user have its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := subscribe(ctx, *name, *inbox); err != nil {
		fmt.Fprintln(os.Stderr, "subscribe:", err)
		os.Exit(1)
	}
}

func subscribe(ctx context.Context, name, inbox string) error {
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.CustomInboxPrefix(inbox))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	c, err := js.Consumer(ctx, "SLIPWAY", name)
	if err != nil {
		return fmt.Errorf("find the consumer %s: %w", name, err)
	}
	reading, err := c.Consume(func(m jetstream.Msg) {
		e, err := events.Parse(m.Data())
		switch {
		case errors.Is(err, events.ErrUnknownType): // of a newer Slipway
		case err != nil:
			fmt.Fprintln(os.Stderr, "subscribe:", err)
		default:
			fmt.Println(e.Time.Format("2006-01-02T15:04:05Z07:00"), e.Type(), e.Payload.SubjectID(), e.ChainID)
		}
		_ = m.Ack() // else it comes again
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer reading.Stop()
	<-ctx.Done()
	return nil
}
