package sync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

const reasonDestination = "DestinationChanged"

// namespaces are where the one is whose uid is a cluster's own.
var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// identity is the uid of a cluster's kube-system, which no other has; empty where
// it may not be known.
func (c *cluster) identity(ctx context.Context) (string, error) {
	if uid := c.uid.Load(); uid != nil {
		return *uid, nil
	}
	uid := ""
	u, err := c.clients.Dynamic.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	switch {
	case err == nil:
		uid = string(u.GetUID())
	case !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
		return "", fmt.Errorf("ask the cluster %s which one it is: %w", c.name, err)
	}
	c.uid.Store(&uid)
	return uid, nil
}

// here is where an application's objects go, as its status has it.
func (c *cluster) here(ctx context.Context, spec api.ApplicationSpec) api.ClusterReference {
	uid, _ := c.identity(ctx) // what can't be known now is known another time
	return api.ClusterReference{Name: c.name, UID: uid, Secret: spec.Destination.KubeconfigSecret, ServiceAccount: spec.Destination.ServiceAccount}
}

// is says whether a cluster is the one that a status names: the one with its uid
// or, where one of the two isn't known, with its name. Another that has taken
// the name has none of the objects, by their uids.
func (c *cluster) is(ctx context.Context, r api.ClusterReference) (bool, error) {
	if c.name == r.Name || r.UID == "" {
		return c.name == r.Name, nil
	}
	uid, err := c.identity(ctx)
	return uid == r.UID, err
}

// relocate sets apart what an application has in another cluster than the one to
// which it goes now, before anything is sent there: it is deleted once all is
// healthy in the new one. Where that can't be done, nothing is changed.
func (b *Brain) relocate(ctx context.Context, a *app, l *live) error {
	s, was, left := l.status(), l.status().Destination, l.status().Former
	c := b.clusterOf(a)
	moves := false
	if was != nil && len(s.Inventory) > 0 {
		same, err := c.is(ctx, *was)
		if err != nil {
			return missingError{reason: reasonCluster, message: err.Error()}
		}
		if moves = !same; moves {
			left = append(slices.Clone(left), api.Former{Cluster: *was, Inventory: s.Inventory})
		}
	}
	b.watchFormer(a, left) //nolint:contextcheck // a watch outlives the work that wants it
	prunes := l.application.Spec.Sync.Prunes() || l.object.GetDeletionTimestamp() != nil
	switch {
	case moves:
		return b.setApart(ctx, a, l, left, prunes)
	case len(left) > 0 && !prunes:
		return b.write(ctx, a, l, func(s *api.ApplicationStatus) { s.Former = nil })
	}
	return nil
}

// setApart has an application begin anew in the cluster to which it goes now.
func (b *Brain) setApart(ctx context.Context, a *app, l *live, left []api.Former, prunes bool) error {
	c, was, objects := b.clusterOf(a), *l.status().Destination, len(l.status().Inventory)
	message := fmt.Sprintf("%d objects are left in the cluster %s, since sync.prune is false", objects, was.Name)
	if prunes {
		if err := b.mayMove(ctx, a, l, was); err != nil {
			return err
		}
		message = fmt.Sprintf("it goes to the cluster %s: %d objects in %s are pruned once all is healthy there", c.name, objects, was.Name)
	}
	b.log.Info("goes to another cluster", "application", a.name.String(), "from", was.Name, "to", c.name, "objects", objects, "pruned", prunes)
	b.notes.say(l.object, reasonDestination, message)
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		if s.Former = left; !prunes {
			s.Former = nil
		}
		now := c.here(ctx, l.application.Spec)
		s.Destination, s.Inventory, s.Revision, s.Hooks = &now, nil, "", nil
	})
}

// mayMove says why what an application has in a former cluster can't be pruned
// there.
func (b *Brain) mayMove(ctx context.Context, a *app, l *live, was api.ClusterReference) error {
	objects := len(l.status().Inventory)
	if most := l.application.Spec.Sync.MaxPrune; l.object.GetDeletionTimestamp() == nil && most.Exceeded(objects, objects) {
		return &refusedError{reasonTooMany, fmt.Errorf("it goes to another cluster than %s, which would delete all of its %d objects there, more than sync.maxPrune %s: nothing is changed; to delete them, raise it, and to leave them there, set sync.prune to false",
			was.Name, objects, *most)}
	}
	_, err := b.former(ctx, a, l.application, was)
	if _, is := missing(err); is {
		return &refusedError{reasonDestination, fmt.Errorf("it goes to another cluster now, and its %d objects in %s can't be pruned: %w: nothing is changed; have %s lead there again (and name another one for the new cluster), or set sync.prune to false to leave them there",
			objects, was.Name, err, kubeconfigOf(was))}
	}
	if err != nil && ctx.Err() == nil && !permanentSource(err) {
		return missingError{reason: reasonCluster, message: err.Error()}
	}
	return err
}

// kubeconfigOf names the way to a cluster.
func kubeconfigOf(r api.ClusterReference) string {
	if r.Secret == "" {
		return "the synchronizer's config"
	}
	return "the Secret " + r.Secret
}

// former reaches a cluster to which an application went before, by the Secret
// that it named then. A missingError says why it can't.
func (b *Brain) former(ctx context.Context, a *app, application *api.Application, was api.ClusterReference) (*cluster, error) {
	c := b.own
	if was.Secret != "" {
		s := source{secrets, a.name.Namespace, was.Secret}
		client, err := b.clientFor(a.name.Namespace, application.Spec)
		if err != nil {
			return nil, err
		}
		u, err := get(ctx, client, s, "the former spec.destination.kubeconfigSecret", reasonDestination, "")
		if err != nil {
			return nil, err
		}
		name, clients, err := dial(dataOf(u))
		if err != nil {
			return nil, missingError{reason: reasonDestination, message: fmt.Sprintf("%s: %v", s, err)}
		}
		c = &cluster{name: name, clients: clients, applier: apply.New(clients, nil)}
	}
	same, err := c.is(ctx, was)
	if err == nil && !same {
		err = missingError{reason: reasonDestination, message: fmt.Sprintf("%s leads to %s now", kubeconfigOf(was), c.name)}
	}
	return c, err
}

// watchFormer has the Secrets that lead to former clusters wake an application.
func (b *Brain) watchFormer(a *app, all []api.Former) {
	var sources []source
	for _, f := range all {
		if f.Cluster.Secret != "" {
			sources = append(sources, source{secrets, a.name.Namespace, f.Cluster.Secret})
		}
	}
	if len(sources) > 0 {
		b.own.watches.Want(kube.Scope{Resource: secrets})
	}
	b.apps.setSources(a.key, usedAsFormer, sources)
}

// pruneFormer deletes what is left of an application in clusters to which it went
// before. An object that it has now is not among it, whatever way leads to it.
func (b *Brain) pruneFormer(ctx context.Context, n *run, l *live) error {
	all := l.status().Former
	if len(all) == 0 {
		return nil
	}
	now := map[string]bool{}
	for _, e := range l.status().Inventory {
		now[e.UID] = true
	}
	for _, item := range n.items {
		now[item.UID] = true
	}
	delete(now, "")
	var left []api.Former
	var faults []string
	for _, f := range all {
		c, err := b.former(ctx, n.app, l.application, f.Cluster)
		if err != nil {
			left, faults = append(left, f), append(faults, err.Error())
			continue
		}
		rest, failed := b.pruneIn(ctx, n, l, c, f, now)
		faults = append(faults, failed...)
		if len(rest) > 0 {
			left = append(left, api.Former{Cluster: f.Cluster, Inventory: rest})
		}
	}
	message := fmt.Sprintf("applied %s, but could not prune in a former cluster: %s; to leave there what is there, set sync.prune to false", n.short(), strings.Join(faults, "; "))
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		if s.Former = left; len(faults) > 0 {
			conditions{ready: "False", reconciling: true, reason: reasonPruneFailed, message: message, generation: n.generation, now: time.Now()}.set(s)
		}
	})
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return fmt.Errorf("prune in a former cluster: %s", strings.Join(faults, "; "))
	}
	return nil
}

// pruneIn prunes in one of them, and gives what stays to be pruned.
func (b *Brain) pruneIn(ctx context.Context, n *run, l *live, c *cluster, f api.Former, now map[string]bool) (left []api.InventoryEntry, faults []string) {
	spec := n.spec
	spec.Destination.ServiceAccount, spec.Destination.KubeconfigSecret = f.Cluster.ServiceAccount, f.Cluster.Secret
	client, err := b.rights(c, n.app.name.Namespace, spec)
	if err == nil {
		_, err = c.identity(ctx) // one that is away is waited for once, and not for each object
	}
	if err != nil {
		return f.Inventory, []string{err.Error()}
	}
	there := *n
	there.cluster, there.client = c, client
	entries := slices.DeleteFunc(slices.Clone(f.Inventory), func(e api.InventoryEntry) bool { return now[e.UID] })
	for _, p := range c.applier.Prune(ctx, b.actor(&there), entries) {
		name := fmt.Sprintf("%s in %s", apply.EntryName(p.Entry), c.name)
		switch {
		case p.Err != nil:
			left, faults = append(left, p.Entry), append(faults, fmt.Sprintf("%s: %v", name, p.Err))
		case p.To.Name != "":
			left = append(left, b.goesOver(l, p, name))
		case p.Kept != "":
			b.notes.say(l.object, "NotPruned", fmt.Sprintf("left %s alone: %s", name, p.Kept))
		default:
			n.counts.Pruned++
		}
	}
	return left, faults
}
