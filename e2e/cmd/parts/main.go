// Command parts builds the real parts of the tests into the cache, and shows
// how far it is.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "parts:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to undo
	}
}

// run builds what is missing; a line a part, and nothing where all is there.
func run(ctx context.Context, out *os.File) error {
	d := &display{out: out, every: 30 * time.Second}
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		d.line, d.every = "\r", time.Second
	}
	defer d.end()
	return parts.Build(ctx, d.tell)
}

// display says what is being built, and for how long: in one line of a
// terminal, else in a line now and then, so that CI sees life.
type display struct {
	out   io.Writer
	line  string // "\r" on a terminal
	every time.Duration

	stop, stopped chan struct{}
}

func (d *display) tell(name string, done bool, took time.Duration) {
	switch {
	case !done:
		d.start(name)
	case d.stop != nil:
		d.end()
		fmt.Fprintf(d.out, "%sbuilt %-14s %4ds\n", d.line, name, int(took.Seconds()))
	}
}

func (d *display) start(name string) {
	begin := time.Now()
	d.stop, d.stopped = make(chan struct{}), make(chan struct{})
	show := func() {
		text := fmt.Sprintf("building %-11s %4ds (once: it is kept in the cache)", name, int(time.Since(begin).Seconds()))
		if d.line == "" {
			text += "\n"
		}
		fmt.Fprint(d.out, d.line+text)
	}
	show()
	go func() {
		defer close(d.stopped)
		tick := time.NewTicker(d.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show()
			case <-d.stop:
				if d.line != "" {
					fmt.Fprint(d.out, "\r\x1b[K") // clear the line
				}
				return
			}
		}
	}()
}

// end stops the display of what is being built.
func (d *display) end() {
	if d.stop == nil {
		return
	}
	close(d.stop)
	<-d.stopped
	d.stop = nil
}
