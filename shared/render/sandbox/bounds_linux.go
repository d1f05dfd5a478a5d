package sandbox

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// root is the folder that a child works in.
const root = "/"

// executable is this very program, also when its file was replaced or removed.
func executable() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Readlink(self); err == nil {
		return self, nil
	}
	return os.Executable()
}

// noNamespaces says that the system allows us none.
var noNamespaces atomic.Bool

// networks are what to try: a network of its own, then ours.
func networks() []bool {
	if noNamespaces.Load() {
		return []bool{false}
	}
	return []bool{true, false}
}

// isolated gives a child a network with nothing in it. Who isn't root needs a
// user namespace for that, in which it stays who it is.
func isolated() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
	}
}

// bounds are the child's own limits.
type bounds struct{ base uint64 }

// newBounds takes from the process what it never needs: core dumps, and files
// to write to. It notes how much memory the process has from the start.
func newBounds() bounds {
	zero := &unix.Rlimit{}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, zero)  // lowering is always allowed
	_ = unix.Setrlimit(unix.RLIMIT_FSIZE, zero) // pipes are not files
	return bounds{base: writable()}
}

// set bounds the memory: softly the collector's goal, hard what the kernel
// gives. RLIMIT_AS is of no use: Go reserves far more than it takes.
func (b bounds) set(memory int64) {
	debug.SetMemoryLimit(memory / 4 * 3)
	limit := unix.Rlimit{Cur: b.base + uint64(memory), Max: unix.RLIM_INFINITY}
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_DATA, &now) == nil {
		limit.Max = now.Max
		limit.Cur = min(limit.Cur, limit.Max)
	}
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &limit) // the time limit holds all the same
}

// writable is how much private writable memory the process has mapped, which
// is what RLIMIT_DATA counts, in bytes.
func writable() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range bytes.Lines(status) {
			if rest, ok := bytes.CutPrefix(line, []byte("VmData:")); ok {
				kib, err := strconv.ParseUint(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 53)
				if err == nil {
					return kib << 10
				}
			}
		}
	}
	return 256 << 20 // more than any of our programs starts with
}
