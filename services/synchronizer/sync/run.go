package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// run is one sync of one application at one commit.
type run struct {
	app         *app
	repo        *repo
	commit      string
	head        string // of the branch, where it is another than commit
	by          string // the process that began it
	uid         string // of the Application: one made anew has a life of its own
	chains      []chain
	generation  int64
	spec        api.ApplicationSpec
	rules       rule.Rules // of the spec
	started     time.Time
	lastHealthy string
	lastTried   string // the commit attempted before
	again       bool   // the same was tried before, and failed
	ending      bool   // the Application is deleted

	variables variables

	cluster  *cluster     // where its objects go
	client   *kube.Acting // with the application's rights
	items    []*apply.Item
	plan     []apply.Step
	at       int       // the step that is waited for
	first    bool      // the application was never applied
	revision string    // the commit that is new to it
	hookID   string    // of the runs of its hooks
	due      time.Time // when it has to be recorded that all is applied; zero when it is, or isn't yet
	asks     time.Time // how fresh must be what others are asked about; zero: of a moment ago
	pruned   pruned
	images   []string
	counts   events.Counts
	faults   []string // one per object
	left     []string // objects that ask in the cluster to be left alone

	rendered, appliedAt time.Time             // zero when it isn't yet
	spans               map[string]trace.Span // of the run, by chain
}

// prepare finds the rights and the objects of a run.
func (b *Brain) prepare(n *run, result render.Result) (err error) {
	if n.client, err = b.rights(n.cluster, n.app.name.Namespace, n.spec); err != nil {
		return err
	}
	n.items, err = n.cluster.applier.Prepare(result.Objects, apply.Options{
		Owner: n.app.name.String(), Namespace: n.target(), Labels: n.spec.Labels, Annotations: n.spec.Annotations, Ignore: n.spec.Ignore, Adopt: n.spec.Sync.Adopt,
	})
	n.images = images(n.items, b.cfg.Images)
	return err
}

// target is where objects go that name no namespace.
func (n *run) target() string { return cmp.Or(n.spec.Destination.Namespace, n.app.name.Namespace) }

// clientFor acts with an application's rights: those of the account that it
// names, of its own namespace, unless that is trusted.
func (b *Brain) clientFor(namespace string, spec api.ApplicationSpec) (*kube.Acting, error) {
	if slices.Contains(b.cfg.Trusted, namespace) {
		return b.clients.Own(), nil
	}
	account := spec.Destination.ServiceAccount
	if account == "" {
		account = "default"
	}
	if !api.ObjectName(account) { // a colon or slash would lead into another namespace
		return nil, &refusedError{reasonAccount, fmt.Errorf("spec.destination.serviceAccount: %q is not the name of a ServiceAccount of the Application's own namespace", account)}
	}
	return b.clients.As(namespace, account)
}

// record counts what was done.
func (n *run) record(outcomes []apply.Outcome) {
	for _, o := range outcomes {
		switch o.Action {
		case apply.Created:
			n.counts.Created++
		case apply.Changed:
			n.counts.Changed++
		case apply.Unchanged:
			n.counts.Unchanged++
		case apply.Left:
			n.counts.Unchanged++
			n.left = append(n.left, o.Item.String())
		case apply.Failed:
			n.counts.Failed++
			n.faults = append(n.faults, n.variables.redacted(fmt.Sprintf("%s: %s: %v", o.Item.Where, o.Item, o.Err)))
		}
	}
}

func (n *run) err() error {
	if len(n.faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(n.faults, "\n"))
}

// inventory is what was applied, with the entries of before that are not
// among it: those wait to be pruned.
func (n *run) inventory(before []api.InventoryEntry) []api.InventoryEntry {
	all := apply.Union(n.items, before)
	for i, item := range n.items {
		if item.UID != "" {
			all[i] = item.Entry(api.Applied)
		}
	}
	return all
}

// targets are what must be ready of items.
func (n *run) targets(items []*apply.Item) []health.Target {
	targets := make([]health.Target, 0, len(items))
	for _, item := range items {
		if item.Unjudged() || n.app.itself(item.Kind.Group, item.Kind.Kind, item.Namespace, item.Name) {
			continue
		}
		target := item.Target()
		target.Rule, target.Ends = n.rules.For(target.Kind), item.Turn.IsHook
		targets = append(targets, target)
	}
	return targets
}

// covers says whether a run is of what a head has for the application, of its
// spec and with the variables that are there now.
func (n *run) covers(ctx context.Context, head Commit, result render.Result, l *live, vars variables) bool {
	// What runs is brought to its end with what was looked up when it began.
	same := n.variables.version == vars.version || n.variables.named == vars.named && n.app.wait != nil && !n.app.wait.failed
	if n.generation != l.object.GetGeneration() || !same || string(l.object.GetUID()) != n.uid {
		return false
	}
	changed, known := n.repo.changes(ctx, n.commit, head.Hash())
	return known && !result.Touched(changed)
}

func (n *run) short() string { return short(n.commit) }

// refuse ends a run before anything was applied. Only a new commit or spec
// helps, so the application is stalled until one comes.
func (b *Brain) refuse(ctx context.Context, n *run, l *live, reason string, fault error) error {
	s := l.status()
	if stalled := s.Condition(api.ConditionStalled); s.Attempted == n.commit && s.ObservedGeneration == n.generation && stalled != nil && stalled.Message == fault.Error() {
		return nil // said already
	}
	if err := b.publish(ctx, n, b.startedEvents(n), b.finishedEvents(n, events.Error, fault.Error())); err != nil {
		return err
	}
	b.supersede(ctx, n)
	b.notes.warn(l.object, reason, fault.Error())
	b.metrics.done(api.OutcomeFailed, n.started)
	b.log.Warn("refused", "application", n.app.name.String(), "commit", n.commit, "reason", reason, "error", fault)
	return b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.attempt(s)
		s.Remember(n.history(api.OutcomeFailed, fault.Error()))
		conditions{ready: "False", stalled: true, reason: reason, message: fault.Error(), generation: n.generation, now: time.Now()}.set(s)
	})
}

// attempt records that a run began.
func (n *run) attempt(s *api.ApplicationStatus) {
	n.app.tried.Store(&attempt{commit: n.commit})
	s.ObservedGeneration, s.Attempted, s.Chains = n.generation, n.commit, chainIDs(n.chains)
}

func (n *run) history(outcome, message string) api.HistoryEntry {
	const most = 1024
	if len(message) > most {
		message = message[:most] + "…"
	}
	return api.HistoryEntry{
		Commit: n.commit, Chains: chainIDs(n.chains), Images: n.images, Time: time.Now().UTC().Truncate(time.Second),
		Outcome: outcome, Message: message,
	}
}

// sync applies a render, and then waits for health without holding a worker.
func (b *Brain) sync(ctx context.Context, n *run, l *live, result render.Result) error {
	if err := b.prepareRender(n, result); err != nil {
		return err
	}
	if err := b.forbidden(n); err != nil {
		return b.refuse(ctx, n, l, reasonProject, err)
	}
	if reason, err := b.refusePrune(ctx, n, l); reason != "" {
		return b.refuse(ctx, n, l, reason, err)
	} else if err != nil {
		return err
	}
	if n.hooks(l) {
		return nil // one of them has failed: only a commit, a new spec or a person helps
	}
	if err := b.intend(ctx, n, l); err != nil {
		return err
	}
	return b.advance(ctx, n, l, 0)
}

// intend tells that a run begins, and records everything that is about to be
// applied before any of it is.
func (b *Brain) intend(ctx context.Context, n *run, l *live) error {
	if err := b.endsByUs(ctx, n.app, l); err != nil {
		return err
	}
	told := make(chan error, 1)
	go func() {
		if n.again {
			told <- nil
			return
		}
		told <- b.publish(ctx, n, b.startedEvents(n))
	}()
	b.supersede(ctx, n)
	here := n.cluster.here(ctx, n.spec)
	others := false
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		others = others || s.By != b.me
		s.By = b.me
		n.attempt(s)
		n.begin(s)
		s.Destination = &here
		s.Inventory = apply.Union(n.items, s.Inventory)
		if n.again {
			return // what failed still stands, until it doesn't
		}
		conditions{
			ready: "Unknown", reconciling: true, reason: reasonProgressing, message: "applying " + n.short(),
			generation: n.generation, now: time.Now(),
		}.set(s)
	})
	if err == nil && l.gone { // nothing would know of what is applied
		err = errOvertaken
	}
	if others {
		n.cluster.applier.Forget(n.items)
	}
	return errors.Join(err, <-told)
}

// applyFailed ends a try. What could be applied is; the rest is tried again
// with growing delays, until a newer commit comes.
func (b *Brain) applyFailed(ctx context.Context, n *run, l *live, fault error) error {
	if ready := l.status().Condition(api.ConditionReady); !n.again || ready == nil || ready.Message != fault.Error() {
		b.notes.warn(l.object, reasonApplyFailed, fault.Error())
		b.metrics.done(api.OutcomeFailed, n.started)
		if err := b.publish(ctx, n, b.finishedEvents(n, events.Error, fault.Error())); err != nil {
			return err
		}
		b.runFailHooks(ctx, n, l)
	}
	n.again = true
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		s.Inventory = n.inventory(s.Inventory)
		s.Remember(n.history(api.OutcomeFailed, fault.Error()))
		conditions{ready: "False", reconciling: true, reason: reasonApplyFailed, message: fault.Error(), generation: n.generation, now: time.Now()}.set(s)
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("apply %s: %w", n.short(), fault)
}

// chains are those that end with this run.
func (b *Brain) chains(ctx context.Context, n *run, s *api.ApplicationStatus, head Commit, work Work) []chain {
	base := s.Revision
	if len(s.History) > 0 {
		base = s.History[0].Commit
	}
	commits := []Commit{head}
	if base == head.Hash() {
		commits = nil
	} else if base != "" {
		// After a forced push they are those since the two parted, where that can be told.
		if between, err := n.repo.between(ctx, base, head.Hash()); (err == nil || errors.Is(err, ErrGap)) && len(between) > 0 {
			commits = between
		}
	}
	name := n.app.name.String()
	found := chainsOf(commits, name, b.cfg.Images)
	switch told := chainsFor(work.Wakes, head); {
	case len(found) > 0:
		return found
	case s.Attempted == n.commit && len(s.Chains) > 0 && !settled(s): // it is tried again
		for _, id := range s.Chains {
			found = append(found, chain{id: id})
		}
		return found
	case commits == nil && n.variables.version != s.Variables:
		return []chain{{id: events.ChainFor("variables", name, n.uid, n.variables.version)}}
	case commits == nil:
		return []chain{{id: events.ChainFor("application", name, n.uid, fmt.Sprint(n.generation))}}
	case told != "":
		return []chain{{id: told}}
	}
	return []chain{{id: events.ChainFor("commit", string(n.repo.name), n.commit, name)}}
}
