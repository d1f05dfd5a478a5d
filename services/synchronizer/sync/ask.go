package sync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/lookup"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

const reasonLookup = "LookupFailed"

// lookups answer what the chart of an application looks up: from the cluster of
// its objects, with the rights by which they are applied.
type lookups struct {
	*Brain
	a           *app
	application *api.Application
}

// lookups are nil unless the Application wants them.
func (b *Brain) lookups(a *app, application *api.Application) render.Cluster {
	if helm := application.Spec.Source.Helm; helm == nil || !helm.Lookup {
		return nil
	}
	return lookups{b, a, application}
}

// Lookup is [render.Cluster]'s.
func (l lookups) Lookup(ctx context.Context, q render.Lookup) (map[string]any, error) {
	c, err := l.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return c.Lookup(ctx, q)
}

// Own is [render.Cluster]'s.
func (l lookups) Own(object map[string]any) bool {
	return lookup.Cluster{Mine: func(owner string) bool { return owner == l.a.name.String() }}.Own(object)
}

// Capabilities are [render.Cluster]'s.
func (l lookups) Capabilities(ctx context.Context) (render.Capabilities, error) {
	c, err := l.cluster(ctx)
	if err != nil {
		return render.Capabilities{}, err
	}
	return c.Capabilities(ctx)
}

func (l lookups) cluster(ctx context.Context) (lookup.Cluster, error) {
	to, err := l.destination(ctx, l.a, l.application)
	if err != nil {
		return lookup.Cluster{}, err
	}
	client, err := l.rights(to, l.a.name.Namespace, l.application.Spec)
	if err != nil {
		return lookup.Cluster{}, err
	}
	return lookup.Cluster{Mapper: to.clients.Mapper, Client: client, Allowed: func(q render.Lookup, r kube.Resource) error {
		return l.allowed(to, q, r)
	}}, nil
}

// everywhere stands for all namespaces: only a pattern that is nothing but stars
// fits it.
const everywhere = "*"

// allowed says of what is looked up what [Brain.forbidden] says of objects.
func (l lookups) allowed(to *cluster, q render.Lookup, r kube.Resource) error {
	governing := l.projects.governing(l.a.name.Namespace)
	if len(governing) == 0 {
		return nil
	}
	from, err := l.repos.place(l.a.name.Namespace, l.application.Spec.Source)
	if err != nil {
		return err
	}
	item := &apply.Item{Kind: schema.FromAPIVersionAndKind(q.APIVersion, q.Kind), Resource: r, Namespace: q.Namespace, Name: cmp.Or(q.Name, everywhere)}
	if r.Namespaced && q.Namespace == "" {
		item.Namespace = everywhere
	}
	why := l.objection(governing, from.name, &run{app: l.a, spec: l.application.Spec, cluster: to}, item)
	if why == "" {
		return nil
	}
	return &refusedError{reasonProject, fmt.Errorf("the chart looks up %s: %s: take that out of the chart, or have the Project allow it", q, why)}
}

// renderHead renders a head. What its chart looks up and can't find out, or its
// kustomization names and can't be had, is told, and err; renderErr is what is wrong with the commit.
func (b *Brain) renderHead(ctx context.Context, a *app, l *live, r *repo, head Commit, vars *variables) (result render.Result, renderErr, err error) {
	result, renderErr = render.Render(ctx, vars.request(head, l.application))
	if ctx.Err() != nil {
		return result, nil, ctx.Err()
	}
	*vars = vars.found(result)
	r.index.set(a.key, result.Inputs)
	fault := unknowable(renderErr)
	if fault == nil {
		return result, renderErr, nil
	}
	if err := b.markSource(ctx, a, fault); err != nil {
		return result, nil, err
	}
	return result, nil, fault
}

// unknowable is why a render has ended that could not look something up, or not
// have what lies beyond its repository; nil where it ended otherwise. Nothing that
// was rendered before changes by it.
func unknowable(err error) error {
	e, ok := errors.AsType[*render.Error](err)
	switch {
	case !ok:
		return nil
	case e.Reason == render.ReasonBase, e.Reason == render.ReasonChart:
		return missingError{reason: string(e.Reason), message: err.Error()}
	case e.Reason != render.ReasonLookup:
		return nil
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return &refusedError{refused.reason, errors.New(err.Error())}
	}
	return missingError{reason: reasonLookup, message: err.Error()}
}

// found has what lookups came to among the variables: what is rendered otherwise
// than before is a reason to sync. What a chart makes up anew each time is none.
func (v variables) found(result render.Result) variables {
	v = v.moved(result)
	v.masks, v.named = result.Masks, v.version
	if !result.Asked {
		return v
	}
	h := sha256.New()
	for _, o := range result.Objects {
		if o.Varies {
			continue
		}
		h.Write([]byte(o.ID.String() + "\x00"))
		h.Write(o.Raw)
		h.Write([]byte{0})
	}
	v.version = strings.TrimSpace(v.version + " lookup=" + hex.EncodeToString(h.Sum(nil)[:12]))
	return v
}
