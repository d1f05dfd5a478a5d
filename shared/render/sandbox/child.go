package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// child is a process of ours, seen from the parent.
type child struct {
	cmd     *exec.Cmd
	in, out *os.File // to its stdin, from its stdout
	err     *os.File // from its stderr: read when it is dead
	calls   int
	full    bool // it holds much memory
	expiry  *time.Timer
}

// startTime bounds how long a process may take to say that it is a child.
const startTime = 20 * time.Second

// errDied says that a child is gone, and not by our hand or its own.
var errDied = errors.New("the child was killed")

// start starts a child and waits until it says that it is one.
func start(ctx context.Context) (*child, error) {
	c, err := launch()
	if err != nil {
		return nil, fmt.Errorf("start a process to render in: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stop := context.AfterFunc(ctx, c.kill)
	hello := make([]byte, len(greeting))
	_, err = io.ReadFull(c.out, hello)
	stop()
	switch {
	case err == nil && string(hello) == greeting:
		return c, nil
	case err == nil:
		err = ErrNotServing
	}
	c.kill()
	said, _ := c.wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("start a process to render in: %w", ctx.Err())
	}
	return nil, fmt.Errorf("start a process to render in: %w: %s", err, firstLine(said))
}

// launch runs the binary that we are, in a network of its own where that is
// allowed.
func launch() (*child, error) {
	for _, alone := range networks() {
		c, err := launchIn(alone)
		if err == nil || !alone {
			return c, err
		}
		noNamespaces.Store(true)
	}
	return nil, errors.ErrUnsupported
}

func launchIn(alone bool) (*child, error) {
	self, err := executable()
	if err != nil {
		return nil, err
	}
	var pipes [6]*os.File
	for i := 0; i < len(pipes); i += 2 {
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			closeAll(pipes[:])
			return nil, err
		}
	}
	cmd := &exec.Cmd{
		Path: self, Args: []string{os.Args[0], argument}, Dir: root,
		Env:   []string{marker + "=1", "GOTRACEBACK=none"},
		Stdin: pipes[0], Stdout: pipes[3], Stderr: pipes[5],
	}
	if alone {
		cmd.SysProcAttr = isolated()
	}
	err = cmd.Start()
	closeAll([]*os.File{pipes[0], pipes[3], pipes[5]})
	if err != nil {
		closeAll([]*os.File{pipes[1], pipes[2], pipes[4]})
		return nil, err
	}
	return &child{cmd: cmd, in: pipes[1], out: pipes[2], err: pipes[4]}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // pipes: there is nothing to lose
		}
	}
}

// kill ends it at once; it still has to be waited for.
func (c *child) kill() { _ = c.cmd.Process.Kill() } // fails when it is gone

// end ends one that waits: it has nothing to lose.
func (c *child) end() {
	c.kill()
	go func() { _, _ = c.wait() }() // it was killed, and knows nothing to say
}

// wait waits for its end, and gives what it said on stderr.
func (c *child) wait() (said []byte, err error) {
	err = c.cmd.Wait()
	said, _ = io.ReadAll(io.LimitReader(c.err, 64<<10)) // what is there is enough
	closeAll([]*os.File{c.in, c.out, c.err})
	return said, err
}

// call sends a request and reads the answer. After an error the child is gone.
func (c *child) call(ctx context.Context, request []byte, answers func([]byte) []byte, limits Limits) ([]byte, error) {
	c.calls++
	timed, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	stop := context.AfterFunc(timed, c.kill)
	answer, err := c.exchange(request, answers, limits)
	if stop() && err == nil {
		return answer, nil
	}
	c.kill()
	said, ended := c.wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case timed.Err() != nil:
		return nil, &LimitError{Limit: Time, Limits: limits}
	case errors.As(err, new(*LimitError)):
		return nil, err
	case outOfMemory(said):
		return nil, &LimitError{Limit: Memory, Limits: limits}
	case len(said) > 0:
		return nil, fmt.Errorf("the process broke down: %s", firstLine(said))
	}
	return nil, fmt.Errorf("%w: %w", errDied, errors.Join(err, ended))
}

func (c *child) exchange(request []byte, answers func([]byte) []byte, limits Limits) ([]byte, error) {
	if err := writeRequest(c.in, request, limits); err != nil {
		return nil, err
	}
	var reply func([]byte) error
	if answers != nil {
		reply = func(question []byte) error { return writeRequest(c.in, answers(question), limits) }
	}
	answer, full, err := readAnswer(c.out, limits, reply)
	c.full = full
	return answer, err
}

// lacksMemory are last words of Go, of cgo, and of the race detector: a thread
// that can't be made lacks memory for its stack, and what falls within the
// runtime itself got none where it needed some.
var lacksMemory = []string{
	"out of memory", "cannot allocate memory", "stack overflow", "failed to create new OS thread", "pthread_create failed",
	"failed to allocate", "unexpected signal during runtime execution", "ThreadSanitizer",
}

func outOfMemory(said []byte) bool {
	return slices.ContainsFunc(lacksMemory, func(words string) bool { return bytes.Contains(said, []byte(words)) })
}

// firstLine is what went wrong, in words that fit into an error.
func firstLine(said []byte) string {
	for line := range bytes.Lines(said) {
		if text := strings.TrimSpace(string(line)); text != "" {
			return text[:min(len(text), 300)]
		}
	}
	return "it said nothing"
}
