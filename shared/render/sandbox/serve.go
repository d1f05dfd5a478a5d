package sandbox

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
)

const (
	// argument is what a child is started with.
	argument = "slipway-sandboxed-child"
	// marker in the environment keeps a child from having children, also in
	// a program that forgot to call Serve.
	marker = "SLIPWAY_SANDBOXED_CHILD"
	// maxStack bounds a recursion.
	maxStack = 256 << 20
)

// Ask puts a question to the parent, whose [Pool.Call] answers it.
type Ask func(question []byte) (answer []byte)

// Serve makes this process able to have children. In a child it doesn't
// return: it calls f for each request until the parent goes, and exits. It is
// the first thing that main does.
func Serve(f func(request []byte, ask Ask) []byte) {
	if len(os.Args) != 2 || os.Args[1] != argument || os.Getenv(marker) == "" {
		serving.Store(true)
		return
	}
	serve(os.Stdin, os.Stdout, f)
	os.Exit(0) //nolint:forbidigo // we are main's first act, and in a child its only one
}

// serve answers requests one after the other. The input is read while f works,
// so that its end, which is the parent's, ends us in the midst of it.
func serve(in io.Reader, out io.Writer, f func([]byte, Ask) []byte) {
	os.Stdout = os.Stderr     // nothing else may write there
	log.SetOutput(io.Discard) //nolint:forbidigo // what libraries say by it
	slog.SetDefault(slog.New(slog.DiscardHandler))
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // the parent decides
	debug.SetMaxStack(maxStack)
	bounds := newBounds()
	requests := make(chan request)
	go func() {
		buffered := bufio.NewReaderSize(in, 64<<10)
		for {
			r, err := readRequest(buffered)
			if err != nil {
				os.Exit(0) //nolint:forbidigo // the parent is gone, and f can't be stopped
			}
			requests <- r
		}
	}()
	if _, err := io.WriteString(out, greeting); err != nil {
		return
	}
	ask := func(question []byte) []byte {
		if err := writeQuestion(out, question); err != nil {
			os.Exit(0) //nolint:forbidigo // the parent is gone
		}
		return (<-requests).data
	}
	for r := range requests {
		bounds.set(r.limits.Memory)
		answer := f(r.data, ask)
		if err := writeAnswer(out, answer, heldBytes() > r.limits.Memory/8, r.limits); err != nil {
			return
		}
	}
}

// heldBytes is what the heap holds of the system's memory.
func heldBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(sample)
	var sum uint64
	for _, s := range sample {
		sum += s.Value.Uint64()
	}
	return int64(min(sum, 1<<62))
}
