package promote

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Running is what an application runs, as its synchronizer last told.
type Running struct {
	// Images are whole references.
	Images []string `json:"images"`
	// Commit is the one that was applied.
	Commit string `json:"commit"`
	// HealthySince is when it became healthy with these images; zero while it
	// is not.
	HealthySince time.Time `json:"healthySince,omitzero"`
	// At is when that was told.
	At time.Time `json:"at"`
	// Past is what it ran before and was healthy with, the latest first.
	Past []Served `json:"past,omitempty"`
}

// Served is what an application was healthy with, and for how long.
type Served struct {
	Images []string      `json:"images"`
	For    time.Duration `json:"for"`
}

// maxPast bounds what is remembered.
const maxPast = 20

// after is what runs now, with what ran before put behind it where it was
// healthy to its end.
func (r Running) after(old Running) Running {
	r.Past = old.Past
	if !slices.Equal(old.Images, r.Images) && !old.HealthySince.IsZero() {
		r.Past = slices.Insert(slices.Clone(old.Past), 0, Served{old.Images, r.At.Sub(old.HealthySince)})
		r.Past = r.Past[:min(len(r.Past), maxPast)]
	}
	return r
}

// healthyFor says whether the application has been healthy for that long.
func (r Running) healthyFor(lasts time.Duration, now time.Time) bool {
	return !r.HealthySince.IsZero() && !now.Before(r.HealthySince.Add(lasts))
}

// proved says whether the application was healthy with an image for that long
// before it went on to another.
func (r Running) proved(image events.Image, lasts time.Duration, c *comparison) bool {
	for _, p := range r.Past {
		if p.For >= lasts && c.same(p.Images, image) {
			return true
		}
	}
	return false
}

// image gives the reference to one repository.
func (r Running) image(repo events.ImageRepository, aliases events.Aliases) (events.Image, bool) {
	for _, s := range r.Images {
		if i, err := events.ParseImage(s, aliases); err == nil && i.Repository == repo {
			return i, true
		}
	}
	return events.Image{}, false
}

// Health knows what applications run, by their names, in a bucket that every
// replica watches.
type Health struct {
	*bus.Kept[Running]
	wake func(ctx context.Context, application string) error
}

// OpenHealth opens the bucket. [Health.Run] must run beside it. wake has
// everything decided on again that waits for an application, durably when it
// returns.
func OpenHealth(ctx context.Context, b *bus.Bus, wake func(ctx context.Context, application string) error) (*Health, error) {
	kept, err := bus.Keep[Running](ctx, b, "slipway-running", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open what applications run: %w", err)
	}
	return &Health{kept, wake}, nil
}

// Of says what an application runs.
func (h *Health) Of(application events.Application) (Running, bool) {
	v, ok := h.Kept.Of(application.String())
	return v.Value, ok
}

// Handle takes the events by which a synchronizer tells how applications are.
// Only a change is stored, and has others decided on again.
func (h *Health) Handle(ctx context.Context, e events.Event) error {
	application, now, ok := tells(e)
	if !ok {
		return nil
	}
	return unlessChanged(func() error { return h.learn(ctx, application, now) })
}

// tells reads what an event says of an application. Health begins when it was
// told; one that was told before with the same images goes on.
func tells(e events.Event) (application string, r Running, ok bool) {
	switch p := e.Payload.(type) {
	case events.PipelineRunFinished:
		r = Running{Images: p.Images, Commit: p.Commit, At: e.Time}
		if p.Outcome == events.Success {
			r.HealthySince = e.Time
		}
		// A run that was superseded or failed to apply says nothing of what
		// runs.
		return p.Application, r, p.Outcome == events.Success || p.Outcome == events.Failure
	case events.Incident:
		if p.Cause == events.CauseDrift {
			return p.Application, r, false
		}
		// Images and commit are those that were told before.
		r = Running{At: e.Time}
		if p.Kind == events.IncidentResolvedType {
			r.HealthySince = e.Time
		}
		return p.Application, r, strings.HasPrefix(e.Source, "/synchronizer/")
	case events.ServiceEvent:
		if p.HealthySince == nil {
			return p.Application, r, false
		}
		return p.Application, Running{Images: p.Images, Commit: p.Commit, At: e.Time, HealthySince: p.HealthySince.UTC()}, true
	}
	return "", r, false
}

func (h *Health) learn(ctx context.Context, application string, now Running) error {
	stored, _, err := h.Read(ctx, application)
	if err != nil {
		return fmt.Errorf("read what %s runs: %w", application, err)
	}
	old := stored.Value
	if now.At.Before(old.At) {
		return nil // told late
	}
	if now.Images == nil && now.Commit == "" {
		now.Images, now.Commit = old.Images, old.Commit
	}
	same := slices.Equal(old.Images, now.Images)
	if same && !old.HealthySince.IsZero() && !now.HealthySince.IsZero() && old.HealthySince.Before(now.HealthySince) {
		now.HealthySince = old.HealthySince // it went on
	}
	if !same || !old.HealthySince.Equal(now.HealthySince) || old.Commit != now.Commit {
		_, err := h.Write(ctx, application, now.after(old), stored.Revision)
		if err != nil {
			return fmt.Errorf("store what %s runs: %w", application, err)
		}
	}
	return h.wake(ctx, application)
}
