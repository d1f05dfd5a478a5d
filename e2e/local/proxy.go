package local

import (
	"fmt"
	"net"
	"sync"
)

// Proxy stands between a service and something that it talks to, so that a
// test can act, or cut, at a certain moment of the talk.
type Proxy struct {
	// Addr is where the service connects.
	Addr string

	target   string
	listener net.Listener

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
func newProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen before %s: %w", target, err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listener: l}
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
			go p.pump(service, server, true)
			p.pump(server, service, false)
		}()
	}
}

// pump carries what one side says until either ends.
func (p *Proxy) pump(from, to net.Conn, fromService bool) {
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
