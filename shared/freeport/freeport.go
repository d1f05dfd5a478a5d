// Package freeport finds ports for servers of tests and of worlds that are tried
// out: those that are started later, or killed and started again where they were.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// first and last bound the ports that are given, below those from which the
// system takes the ports of connections (net.ipv4.ip_local_port_range, from
// 32768): one of these would be taken while its server is away.
const first, last = 10_000, 32_000

// errTaken is a port that somebody holds or listens on.
var errTaken = errors.New("is taken")

// held keeps what Take gave from being given again: by its locks to other
// processes as long as this one runs, and to this one.
var held struct {
	sync.Mutex
	files []*os.File
}

// Take gives a port of 127.0.0.1 that nobody listens on. It is the caller's until
// its process ends: nobody on this machine is given it meanwhile, also while
// nothing listens on it.
func Take() (int, error) {
	const tries = 1000
	for range tries {
		port := first + rand.IntN(last-first)
		err := take(port)
		if err == nil {
			return port, nil
		}
		if !errors.Is(err, errTaken) {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
	}
	return 0, fmt.Errorf("find a free port: each of %d that were tried %w", tries, errTaken)
}

// Address is Take's as "127.0.0.1:port".
func Address() (string, error) {
	port, err := Take()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

func take(port int) error {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("slipway-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	if err := hold(f, port); err != nil {
		_ = f.Close()
		return err
	}
	// A file that nobody refers to is closed, and its lock is lost.
	held.Lock()
	defer held.Unlock()
	held.files = append(held.files, f)
	return nil
}

func hold(f *os.File, port int) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("port %d %w", port, errTaken)
	} else if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d %w", port, errTaken)
	} else if err != nil {
		return err
	}
	return l.Close()
}
