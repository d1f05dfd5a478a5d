package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// failure is an application that did not become healthy, as its synchronizer
// tells it.
type failure struct {
	Application string    `json:"application"`
	Commit      string    `json:"commit"`
	LastHealthy string    `json:"lastHealthy"`
	Errors      string    `json:"errors"`
	Chain       string    `json:"chain"`
	At          time.Time `json:"at"`
}

// failed goes before a failure in an item of work.
const failed = "failed "

func readFailure(item string) (f failure, ok bool) {
	text, ok := strings.CutPrefix(item, failed)
	return f, ok && json.Unmarshal([]byte(text), &f) == nil
}

// HandleFailure takes the event of an application that did not become healthy
// and was before: whether it is rolled back is decided in the repository's work.
func (all *Repos) HandleFailure(ctx context.Context, e events.Event) error {
	p, ok := e.Payload.(events.PipelineRunFinished)
	if !ok || p.Outcome != events.Failure || p.LastHealthy == "" {
		return nil
	}
	text, err := json.Marshal(failure{p.Application, p.Commit, p.LastHealthy, p.Errors, e.ChainID, e.Time})
	if err != nil {
		return bus.Permanent(err)
	}
	app, err := events.ParseApplication(p.Application)
	if err != nil {
		return bus.Permanent(err)
	}
	for key, r := range all.byKey {
		if s, current := all.current(r); current && (s.Applications[app] == nil || s.Applications[app].OnFailure != api.OnFailureRollback) {
			continue
		}
		if err := all.queue.Put(ctx, key, failed+string(text)); err != nil {
			return err
		}
	}
	return nil
}

// By is who asks for a rollback that nobody asked for.
const automatic = "slipway"

// Why a failed version stays.
var errStays = errors.New("it is not rolled back")

// rollbacks are the requests that follow from failures.
func (d *Deployer) rollbacks(ctx context.Context, r *Repository, s *State, failures []failure) ([]Request, error) {
	var all []Request
	for _, f := range failures {
		requests, err := d.automatic(ctx, r, s, f)
		if errors.Is(err, errStays) {
			d.Log.InfoContext(ctx, "a failed version stays", "application", f.Application, "commit", f.Commit, "why", err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, requests...)
	}
	return all, nil
}

// automatic holds a failure to every guard of a rollback that nobody asked for,
// and gives a request for each image that goes back.
func (d *Deployer) automatic(ctx context.Context, r *Repository, s *State, f failure) ([]Request, error) {
	name, err := events.ParseApplication(f.Application)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStays, err)
	}
	app := s.Applications[name]
	switch {
	case app == nil || app.OnFailure != api.OnFailureRollback:
		return nil, fmt.Errorf("%w: its onFailure is not rollback", errStays)
	case app.Suspended != "":
		return nil, fmt.Errorf("%w: it is suspended: %s", errStays, app.Suspended)
	case clusters.MatchString(f.Errors):
		return nil, fmt.Errorf("%w: the cluster is at fault: %s", errStays, f.Errors)
	}
	moved, err := d.since(ctx, r, f)
	if err != nil {
		return nil, err
	}
	if err := d.calm(ctx, s, f); err != nil {
		return nil, err
	}
	var all []Request
	for image, change := range moved {
		if !uses(app, image) || change.To != current(app, image).Reference() {
			continue // it is no longer in the head
		}
		all = append(all, Request{
			ID: events.ChainFor("rollback", f.Commit, f.Application, image.String()), Kind: Rollback, Application: f.Application, Image: image.String(),
			To: f.LastHealthy, By: automatic, At: f.At, Reason: oneLine("did not become healthy: " + f.Errors),
		})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the head has other versions by now", errStays)
	}
	return all, nil
}

// oneLine is a text as a request's reason may be; one from outside writes no
// line of its own.
func oneLine(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	s = strings.ToValidUTF8(strings.Join(words, " "), "")
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

// clusters are what is wrong with a cluster and not with a version.
var clusters = regexp.MustCompile(`(?i)exceeded quota|forbidden|unschedulable|failedscheduling|insufficient (?:cpu|memory|pods)|failedmount|failedattachvolume`)

// since are the moves of the automator between the commit that was healthy and
// the one that failed, the last for each image.
func (d *Deployer) since(ctx context.Context, r *Repository, f failure) (map[events.ImageRepository]Change, error) {
	commits, err := r.mirror.Between(ctx, f.LastHealthy, f.Commit)
	if errors.Is(err, gitrepo.ErrGap) {
		return nil, fmt.Errorf("%w: commit %.10s, at which it was healthy, is not behind %.10s", errStays, f.LastHealthy, f.Commit)
	}
	if err != nil {
		return nil, err
	}
	moved := map[events.ImageRepository]Change{}
	for _, c := range commits {
		if strings.Contains(c.Message(), "("+string(Rollback)+" of "+f.Application+", ") {
			return nil, fmt.Errorf("%w: it is a rollback already (%.10s)", errStays, c.Hash())
		}
		for _, change := range ParseMessage(c.Message()) {
			if change.Application.String() == f.Application {
				moved[change.Image] = change
			}
		}
	}
	if len(moved) == 0 {
		return nil, fmt.Errorf("%w: no image was moved by us since it was healthy", errStays)
	}
	return moved, nil
}

// What is too much at once: then it is not the versions.
const (
	stormTime = 10 * time.Minute
	stormMost = 3
)

var imagePull = regexp.MustCompile(`ErrImagePull|ImagePullBackOff|InvalidImageName`)

// calm says whether few applications fail. Of many that were rolled back at
// once it is told once, as an incident, and no more are.
func (d *Deployer) calm(ctx context.Context, s *State, f failure) error {
	since := d.now().Add(-stormTime)
	pulls, rolled := map[string]bool{f.Application: true}, map[string]bool{}
	for stored, err := range d.Bus.Read(ctx, bus.ReadOptions{Since: since, Types: []events.Type{events.PipelineRunFinishedType, events.HoldPlacedType}}) {
		if err != nil {
			return err
		}
		switch p := stored.Event.Payload.(type) {
		case events.PipelineRunFinished:
			if p.Outcome == events.Failure && imagePull.MatchString(p.Errors) {
				pulls[p.Application] = true
			}
		case events.HoldEvent:
			if p.By == automatic && p.Application != f.Application {
				rolled[p.Application] = true
			}
		}
	}
	if d.Waiting != nil {
		for name, w := range d.Waiting.All() {
			if name != f.Application && w.Value.At.After(since) && slices.ContainsFunc(w.Value.Requests, func(q Request) bool { return q.By == automatic }) {
				rolled[name] = true
			}
		}
	}
	if imagePull.MatchString(f.Errors) && len(pulls) > 1 {
		return fmt.Errorf("%w: images can't be pulled for %d applications: the registry is at fault", errStays, len(pulls))
	}
	cluster, _, _ := strings.Cut(f.Application, "/")
	most, there := stormMost, 0
	for name := range s.Applications {
		if name.Cluster == cluster {
			there++
		}
	}
	if there >= 10 {
		most = min(most, there/10)
	}
	if len(rolled) < most {
		return nil
	}
	why := fmt.Sprintf("%d applications were rolled back in %s: no more of them are", len(rolled), stormTime)
	if err := d.incident(ctx, f, cluster, why); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errStays, why)
}

func (d *Deployer) incident(ctx context.Context, f failure, environment, why string) error {
	p := events.Incident{Kind: events.IncidentDetectedType, Environment: environment, Application: f.Application, Description: why, Commit: f.Commit}
	e, err := events.New(events.Meta{ID: events.FollowID(f.Chain+" "+f.Commit, p.Kind, f.Application), Source: Source, ChainID: f.Chain, Time: d.now()}, p)
	if err != nil {
		return fmt.Errorf("tell of an incident: %w", err)
	}
	return d.Bus.Publish(ctx, e)
}
