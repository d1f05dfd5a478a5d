package registry

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LimitError says that a registry wants to be left alone, for longer than the
// caller's deadline. Nothing was asked of it; ask again at Until.
type LimitError struct {
	Host  string
	Until time.Time
}

// Error tells the host and the time.
func (e *LimitError) Error() string {
	return fmt.Sprintf("registry %s limits our rate; it can be asked again at %s", e.Host, e.Until.UTC().Format(time.RFC3339))
}

const (
	// maxPause bounds what a registry may demand.
	maxPause = time.Hour
	// firstPause is for a registry that refuses without a time; it doubles
	// with each refusal in a row, up to lastPause.
	firstPause = time.Second
	lastPause  = 5 * time.Minute
	// maxAnswer bounds the body of an answer: manifests, lists of tags, and
	// signatures.
	maxAnswer = 32 << 20
)

// patient asks no host that has said when it wants to be asked again. All
// requests of a client go through one, so that a sweep waits as a whole.
type patient struct {
	inner http.RoundTripper

	mu    sync.Mutex
	hosts map[string]*pause
}

// pause is what a host has told of itself.
type pause struct {
	until time.Time
	tries int // refusals in a row without a time
}

func newPatient(inner http.RoundTripper) *patient {
	return &patient{inner: inner, hosts: map[string]*pause{}}
}

// RoundTrip waits until the host may be asked, asks, and asks again after a
// refusal that ends before the request's deadline.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for {
		if err := p.wait(req); err != nil {
			return nil, err
		}
		res, err := p.inner.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if !p.note(req.URL.Host, res) {
			res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
			return res, nil
		}
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection is kept
		_ = res.Body.Close()
		if req.Body != nil && req.Body != http.NoBody {
			return nil, &LimitError{Host: req.URL.Host, Until: p.until(req.URL.Host)}
		}
	}
}

// wait waits for the host's pause to end, if that is before the deadline.
func (p *patient) wait(req *http.Request) error {
	ctx := req.Context()
	until := p.until(req.URL.Host)
	left := time.Until(until)
	if left <= 0 {
		return ctx.Err()
	}
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		return &LimitError{Host: req.URL.Host, Until: until}
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (p *patient) until(host string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hosts[host]; h != nil {
		return h.until
	}
	return time.Time{}
}

// note learns from an answer when the host may be asked again, and says
// whether it was a refusal.
func (p *patient) note(host string, res *http.Response) (refused bool) {
	now := time.Now()
	wait, told := pauseOf(res.Header, now)
	after := res.Header.Get("Retry-After") != ""
	refused = res.StatusCode == http.StatusTooManyRequests || (res.StatusCode == http.StatusServiceUnavailable && after && told)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[host]
	if h == nil {
		if !refused && !told {
			return false
		}
		h = &pause{}
		p.hosts[host] = h
	}
	switch {
	case refused && !told:
		wait = min(firstPause<<min(h.tries, 16), lastPause)
		h.tries++
	case !refused:
		h.tries = 0
	}
	if until := now.Add(min(wait, maxPause)); until.After(h.until) {
		h.until = until
	}
	return refused
}

// pauseOf reads how long to wait: what Retry-After says, else how long a used
// up allowance takes to come back. told is false where nothing says.
func pauseOf(h http.Header, now time.Time) (wait time.Duration, told bool) {
	if after := strings.TrimSpace(h.Get("Retry-After")); after != "" {
		if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(at.Sub(now), 0), true
		}
	}
	for _, prefix := range []string{"RateLimit-", "X-RateLimit-"} {
		left, ok := number(h.Get(prefix + "Remaining"))
		if reset, known := number(h.Get(prefix + "Reset")); ok && left == 0 && known {
			return resetIn(reset, now), true
		}
	}
	left, reset := structured(h.Get("RateLimit"))
	if left == "0" {
		if seconds, ok := number(reset); ok {
			return resetIn(seconds, now), true
		}
	}
	return 0, false
}

// number reads the number at the beginning of a field such as "76;w=21600".
func number(s string) (int64, bool) {
	s, _, _ = strings.Cut(s, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n, err == nil && n >= 0
}

// resetIn takes seconds from now, or where they are too many for that, those
// of the Unix clock.
func resetIn(n int64, now time.Time) time.Duration {
	const clock = 1_000_000_000
	if n >= clock {
		return max(time.Unix(min(n, 10*clock), 0).Sub(now), 0)
	}
	return time.Duration(n) * time.Second
}

// structured reads the one field of the standard's drafts, as
// `"default";r=0;t=30` or `limit=100, remaining=0, reset=30`.
func structured(field string) (left, reset string) {
	for _, part := range strings.FieldsFunc(field, func(r rune) bool { return r == ';' || r == ',' }) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "r", "remaining":
			left = value
		case "t", "reset":
			reset = value
		}
	}
	return left, reset
}
