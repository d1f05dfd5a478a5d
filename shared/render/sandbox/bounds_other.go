//go:build !linux

package sandbox

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

const root = ""

func executable() (string, error) { return os.Executable() }

var noNamespaces atomic.Bool

func networks() []bool { return []bool{false} }

func isolated() *syscall.SysProcAttr { return nil }

// bounds are the collector's goal alone: only Linux is a server here.
type bounds struct{}

func newBounds() bounds { return bounds{} }

func (bounds) set(memory int64) { debug.SetMemoryLimit(memory / 4 * 3) }
