// Package sandbox runs a function in a child process of the same binary, with
// limits on time and memory, an empty environment and, where the system lets
// us, no network. It is for code that can't be stopped from within.
//
// The binary's main calls [Serve] before anything else. A child is started
// for the first call, and kept for the next ones: a call of a child that is
// there costs what the function costs.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound one call.
type Limits struct {
	Time   time.Duration // by the clock
	Memory int64         // bytes that the child may take beyond what it starts with
	Output int64         // bytes of the answer
}

// Limit is which limit a call passed.
type Limit string

// The limits.
const (
	Time   Limit = "time"
	Memory Limit = "memory"
	Output Limit = "output"
	// Killed says that somebody else killed the child, twice: most often the
	// system, for the memory of all.
	Killed Limit = "killed"
)

// LimitError says that a call passed a limit. The child is gone, others are
// not touched.
type LimitError struct {
	Limit  Limit
	Limits Limits
}

// Error names the limit and its value.
func (e *LimitError) Error() string {
	switch e.Limit {
	case Time:
		return fmt.Sprintf("it took longer than %s", e.Limits.Time)
	case Memory:
		return fmt.Sprintf("it wanted more than %d MiB of memory", e.Limits.Memory>>20)
	case Output:
		return fmt.Sprintf("it gave more than %d bytes", e.Limits.Output)
	case Killed:
	}
	return "its process was killed twice from outside, most likely because the machine or the container has no memory left"
}

// ErrNotServing says that the binary can't be its own child.
var ErrNotServing = errors.New("this program doesn't call render.Child at the start of main (in a test: of TestMain)")

// Pool calls a function in children, several at a time. The zero value is not
// usable: see [New].
type Pool struct {
	slots chan struct{}
	slow  chan struct{} // of calls that have taken longer than most
	mu    sync.Mutex
	idle  []*child
}

// New makes a pool of at most size children at a time, and as many that work
// on what takes long.
func New(size int) *Pool {
	return &Pool{slots: make(chan struct{}, size), slow: make(chan struct{}, size)}
}

const (
	// callsOfAChild is after how many calls a child makes room for a new one,
	// so that nothing can pile up in it.
	callsOfAChild = 200
	// idleFor is how long a child waits for a call. It is longer than the
	// resync of applications, which keeps one warm where there are any.
	idleFor = 15 * time.Minute
	// slowAfter is when a call makes room for others, as far as there is any
	// for slow ones: what loops holds up nobody, until many do.
	slowAfter = time.Second
)

// serving says that main called [Serve].
var serving atomic.Bool

// Call gives the request to a child's function and returns its answer.
// Questions of the child go to answers, one at a time, which may be called
// again from the first on; nil: there are none. The errors are the context's, [*LimitError], [ErrNotServing] and what the
// system says when no process can be started.
func (p *Pool) Call(ctx context.Context, request []byte, answers func(question []byte) []byte, limits Limits) ([]byte, error) {
	if !serving.Load() || os.Getenv(marker) != "" {
		return nil, ErrNotServing
	}
	release, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	for try := 0; ; try++ {
		c, err := p.child(ctx, try > 0)
		if err != nil {
			return nil, err
		}
		answer, err := c.call(ctx, request, answers, limits)
		if err == nil {
			p.put(c)
			return answer, nil
		}
		if errors.Is(err, errDied) && try == 0 {
			continue // it may have died while it waited
		}
		if errors.Is(err, errDied) {
			return nil, &LimitError{Limit: Killed, Limits: limits}
		}
		return nil, err
	}
}

// acquire waits for a slot. After a while the call moves to one for slow calls.
func (p *Pool) acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var mu sync.Mutex
	lane, over := p.slots, false
	timer := time.AfterFunc(slowAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		select {
		case p.slow <- struct{}{}:
			<-lane
			lane = p.slow
		default: // there are many: it keeps its slot
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
		<-lane
	}, nil
}

// child is one that waits, or a new one.
func (p *Pool) child(ctx context.Context, fresh bool) (*child, error) {
	if c := p.take(); c != nil && !fresh {
		return c, nil
	} else if c != nil {
		p.put(c)
	}
	return start(ctx)
}

func (p *Pool) take() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.expiry.Stop() {
			return c
		} // else its time is over right now
	}
	return nil
}

func (p *Pool) put(c *child) {
	if c.calls >= callsOfAChild || c.full {
		c.end()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.expiry = time.AfterFunc(idleFor, func() { p.expire(c) })
	p.idle = append(p.idle, c)
}

func (p *Pool) expire(c *child) {
	p.mu.Lock()
	for i, other := range p.idle {
		if other == c {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	p.mu.Unlock()
	c.end()
}

// Close ends the children that wait. The pool can still be used.
func (p *Pool) Close() {
	for c := p.take(); c != nil; c = p.take() {
		c.end()
	}
}
