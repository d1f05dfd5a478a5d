package slipway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/services/slipway/backup"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/service"
)

// embedded is the bus of `slipway up`, which may stand still for a while: the
// services find it again by themselves, as over any restart of NATS.
type embedded struct {
	data string
	o    busserver.Options
	log  *slog.Logger

	mu     sync.Mutex // held by who stops and starts the server
	server *busserver.Server
}

// startBus starts JetStream with a token of its own in the data folder.
func startBus(cfg service.Config) (*embedded, error) {
	token, err := busToken(service.TokenFile(cfg))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	b := &embedded{data: cfg.Data, log: log, o: busserver.Options{
		Dir: filepath.Join(cfg.Data, backup.Streams), Addr: cfg.Bus.Embedded.Listen, Token: token,
		SyncAlways: cfg.Bus.Embedded.Sync == "always", Log: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}}
	if b.server, err = busserver.Start(b.o); err != nil {
		return nil, busFault(cfg, err)
	}
	return b, nil
}

// busFault says what of the config keeps the embedded bus from starting.
func busFault(cfg service.Config, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%w:\n%w", service.ErrConfig, service.ListenFault("bus.embedded.listen", cfg.Bus.Embedded.Listen, err))
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return fmt.Errorf("%w:\nbus.embedded.listen: %w", service.ErrConfig, err)
	}
	return fmt.Errorf("start the embedded bus: %w", err)
}

func (b *embedded) shutdown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server.Shutdown()
}

// paused runs f while nothing writes to the streams.
func (b *embedded) paused(f func() error) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	b.server.Shutdown()
	err := f()
	server, again := busserver.Start(b.o)
	if again != nil {
		return 0, errors.Join(err, fmt.Errorf("%w: %w", errNoBus, again))
	}
	b.server = server
	return time.Since(began), err
}

// errNoBus says that the embedded bus did not come back: the process must end.
var errNoBus = errors.New("start the embedded bus again")

// The guard's measures.
const (
	guardInterval = time.Second
	maxGuardWait  = 5 * time.Minute
	// room is how much must be free for the bus to go on after a full disk, in
	// bytes, or a hundredth of the disk where that is less.
	room = 64 << 20
)

// guard watches over the disk until ctx ends: JetStream refuses everything after
// a write that failed, also when there is room again, until it is started anew.
// Webhooks are answered 503 meanwhile, so that nothing is lost.
func (b *embedded) guard(ctx context.Context) error {
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	wait, next, told := guardInterval, time.Time{}, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		fault := b.writable()
		if fault == nil {
			wait, told = guardInterval, false
			continue
		}
		if free, enough := b.space(); !enough {
			if !told {
				b.log.ErrorContext(ctx, "the disk of the data folder is full: webhooks are refused until there is room", "data", b.data, "free_bytes", free, "error", fault.Error())
			}
			told = true
			continue
		}
		if time.Now().Before(next) {
			continue
		}
		// Where that doesn't help, the next time is later.
		next, wait = time.Now().Add(wait), min(2*wait, maxGuardWait)
		if _, err := b.paused(func() error { return nil }); err != nil {
			return err
		}
		b.log.WarnContext(ctx, "started the embedded bus anew, since its streams could not be written to", "data", b.data, "error", fault.Error())
	}
}

func (b *embedded) writable() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server.Writable()
}

// space tells the free bytes of the data folder's disk, and whether they are
// enough to go on.
func (b *embedded) space() (free uint64, enough bool) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(b.data, &disk); err != nil {
		return 0, true // what is wrong then shows at the start
	}
	size := uint64(disk.Bsize) //nolint:gosec // a block's size is positive
	free = disk.Bavail * size
	return free, free >= min(room, disk.Blocks*size/100)
}
