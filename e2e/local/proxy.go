package local

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands between a service and something that it talks to, so that a
// test can act, or cut, at a certain moment of the talk.
type Proxy struct {
	// Addr is where the service connects.
	Addr string

	target   string
	listener net.Listener

	delay time.Duration // of what the service says; set before it serves

	mu   sync.Mutex
	hook func(Chunk) Fate
}

// Chunk is what one side sent.
type Chunk struct {
	FromService bool
	Data        []byte
}

// Fate is what becomes of a chunk.
type Fate int

// What a hook may do.
const (
	Pass    Fate = iota
	Swallow      // it never arrives
	Cut          // it never arrives, and the connection ends
)

// newProxy listens before a target, which need not be there yet.
func newProxy(target string) (*Proxy, error) { return newSlowProxy("127.0.0.1", target, 0) }

// newSlowProxy listens at a host. All that a service says arrives the delay
// later, as over a long line: a request takes that much longer, and any number
// of them may be on their way.
func newSlowProxy(host, target string, delay time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen before %s: %w", target, err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listener: l, delay: delay}
	go p.serve()
	return p, nil
}

// Hook has every chunk looked at by f from now on; nil lets all pass.
func (p *Proxy) Hook(f func(Chunk) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = f
}

func (p *Proxy) fate(c Chunk) Fate {
	p.mu.Lock()
	hook := p.hook
	p.mu.Unlock()
	if hook == nil {
		return Pass
	}
	return hook(c)
}

func (p *Proxy) serve() {
	for {
		service, err := p.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				service.Close()
				return
			}
			if p.delay > 0 {
				go p.pump(service, late(server, p.delay), true)
			} else {
				go p.pump(service, server, true)
			}
			p.pump(server, service, false)
		}()
	}
}

// pump carries what one side says until either ends.
func (p *Proxy) pump(from io.ReadCloser, to io.WriteCloser, fromService bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			switch p.fate(Chunk{fromService, buffer[:n]}) {
			case Cut:
				return
			case Swallow:
			default:
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// lateWriter hands on what is written a delay later, in the same order, and
// lets the writer go on at once.
type lateWriter struct {
	to    io.WriteCloser
	delay time.Duration
	line  chan lateChunk
	ended chan struct{} // of what hands on
}

type lateChunk struct {
	at   time.Time
	data []byte
}

func late(to io.WriteCloser, delay time.Duration) io.WriteCloser {
	w := &lateWriter{to: to, delay: delay, line: make(chan lateChunk, 1024), ended: make(chan struct{})}
	go func() {
		defer to.Close()
		defer close(w.ended)
		for c := range w.line {
			time.Sleep(time.Until(c.at))
			if _, err := to.Write(c.data); err != nil {
				return
			}
		}
	}()
	return w
}

func (w *lateWriter) Write(data []byte) (int, error) {
	select {
	case w.line <- lateChunk{time.Now().Add(w.delay), bytes.Clone(data)}:
		return len(data), nil
	case <-w.ended:
		return 0, io.ErrClosedPipe
	}
}

// Close lets what is on its way arrive.
func (w *lateWriter) Close() error {
	close(w.line)
	return nil
}
