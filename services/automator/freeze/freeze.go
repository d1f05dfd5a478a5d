// Package freeze says when nothing is to be deployed.
package freeze

import (
	"fmt"
	"time"
	_ "time/tzdata" // images have no database of time zones

	"github.com/robfig/cron/v3"

	"github.com/slipway-cd/slipway/shared/api"
)

// Window is a freeze that comes again and again.
type Window struct {
	schedule cron.Schedule
	zone     *time.Location
	duration time.Duration
	text     string
}

// New reads a freeze of a policy.
func New(f api.Freeze) (Window, error) {
	zone, err := time.LoadLocation(f.Timezone)
	if err != nil {
		return Window{}, fmt.Errorf("freeze: timezone %q is not known", f.Timezone)
	}
	schedule, err := cron.ParseStandard(f.Cron)
	if err != nil {
		return Window{}, fmt.Errorf("freeze: cron %q: %w", f.Cron, err)
	}
	return Window{schedule, zone, time.Duration(f.Duration), fmt.Sprintf("%q for %s", f.Cron, time.Duration(f.Duration))}, nil
}

func (w Window) String() string { return w.text }

// joined bounds how many windows that run into each other count as one.
const joined = 100

// End says whether a moment is inside of the window, and when that ends.
// Windows that run into each other are one, as far as a hundred of them reach.
func (w Window) End(now time.Time) (end time.Time, inside bool) {
	start := w.schedule.Next(now.In(w.zone).Add(-w.duration))
	if start.IsZero() || start.After(now) {
		return time.Time{}, false
	}
	for range joined {
		end = start.Add(w.duration)
		next := w.schedule.Next(start)
		if next.IsZero() || next.After(end) {
			break
		}
		start = next
	}
	return end.UTC(), true
}

// Windows are all freezes of a rule.
type Windows []Window

// NewWindows reads the freezes of a policy's rule.
func NewWindows(all []api.Freeze) (Windows, error) {
	var ws Windows
	for _, f := range all {
		w, err := New(f)
		if err != nil {
			return nil, err
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// End says whether any window holds at that moment, which of them the longest,
// and when that ends.
func (ws Windows) End(now time.Time) (end time.Time, by Window, inside bool) {
	for _, w := range ws {
		if e, in := w.End(now); in && e.After(end) {
			end, by, inside = e, w, true
		}
	}
	return end, by, inside
}
