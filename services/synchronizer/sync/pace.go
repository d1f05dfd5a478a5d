package sync

import "time"

const (
	// paceShare is what part of the time is spent looking at one application, at most.
	paceShare = 20
	// paceFree is what a look may take without a pause after it.
	paceFree = 500 * time.Microsecond
	// pacePause is the longest pause.
	pacePause = time.Second
)

// pace keeps the looks at an application apart. Each of its objects wakes it, and a
// look goes through all of them: of a thousand that come at once, one in a while sees
// as much.
type pace struct{ until time.Time }

// took notes how long a look took that has ended now.
func (p *pace) took(d time.Duration, now time.Time) {
	if d > paceFree {
		p.until = now.Add(min(d*(paceShare-1), pacePause))
	}
}

// wait says for how long not to look; zero or less for not at all.
func (p *pace) wait(now time.Time) time.Duration { return p.until.Sub(now) }
