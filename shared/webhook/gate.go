package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/slipway-cd/slipway/shared/service"
)

// gate is what a request passes before its body is read: the source's list of
// addresses, its rate, and its share of memory. Each source has its own, so
// that a noisy, slow or hostile sender delays nobody else's.
type gate struct {
	allow   []netip.Prefix
	proxies []netip.Prefix
	limiter *rate.Limiter
	// waits says that the sender is better kept waiting than refused.
	waits bool
	// memory is the source's share, total that of all sources of the door.
	memory, total *semaphore.Weighted
}

// The rate of a source that names none, in webhooks a second.
const (
	defaultRate  = 1000
	defaultBurst = 2000
)

// patience is how long a request waits for its turn.
const patience = 2 * time.Second

// minShare is the least that a source's bodies may take together, in bytes;
// allShares what those of all sources may.
const (
	minShare  = 64 * MiB
	allShares = 256 * MiB
)

func newGate(s service.Source, p Provider, maxBody int64, proxies []string) (*gate, error) {
	g := &gate{waits: p.Blocks, memory: semaphore.NewWeighted(max(minShare, 2*maxBody)), total: semaphore.NewWeighted(max(allShares, 2*maxBody))}
	var err error
	if g.allow, err = prefixes("allow", s.Allow); err != nil {
		return nil, err
	}
	if g.proxies, err = prefixes("receivers.proxies", proxies); err != nil {
		return nil, err
	}
	perSecond, burst := s.Rate.PerSecond, s.Rate.Burst
	if perSecond == 0 {
		perSecond, burst = defaultRate, defaultBurst
	}
	g.limiter = rate.NewLimiter(rate.Limit(perSecond), max(burst, 1))
	return g, nil
}

// prefixes reads addresses and networks.
func prefixes(what string, list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, fmt.Errorf("%s: %q is neither an address nor a network such as 10.0.0.0/8", what, s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

var errBusy = errors.New("too many webhooks at once")

// pass lets a request in, or says why not.
func (g *gate) pass(r *http.Request) (refusal *answer) {
	if len(g.allow) > 0 && !within(g.allow, g.client(r)) {
		return &answer{status: http.StatusForbidden, reason: "address", detail: "the source's config does not allow the sender's address"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if err := g.turn(ctx); err != nil {
		return &answer{status: http.StatusTooManyRequests, reason: "rate", detail: "more webhooks than the source's rate: send it again later"}
	}
	return nil
}

// hold takes n bytes of the shares; it waits a while where they are taken.
func (g *gate) hold(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := g.memory.Acquire(ctx, n); err != nil {
		return errBusy
	}
	if err := g.total.Acquire(ctx, n); err != nil {
		g.memory.Release(n)
		return errBusy
	}
	return nil
}

func (g *gate) release(n int64) {
	g.memory.Release(n)
	g.total.Release(n)
}

func (g *gate) turn(ctx context.Context) error {
	if g.waits {
		return g.limiter.Wait(ctx)
	}
	if !g.limiter.Allow() {
		return errBusy
	}
	return nil
}

// client is the sender's address: what the last proxy that the config names
// tells of it, else the connection's.
func (g *gate) client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	told := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, s := range slices.Backward(told) {
		if !within(g.proxies, addr) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			break
		}
		addr = next
	}
	return addr.Unmap()
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}
