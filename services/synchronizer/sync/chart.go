package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
)

const (
	reasonChart    = "ChartUnavailable" // it may come
	reasonBadChart = "InvalidChart"
)

// chartSince is how old what is known of a range may be, for what woke an
// application: resyncs share what a minute has brought, or half their interval
// where that is less, and what has nothing to do with versions, such as drift,
// takes what is known.
func chartSince(work Work, resync time.Duration) (at time.Time) {
	drift := false
	for _, w := range work.Wakes {
		switch w.Reason {
		case ReasonSpec, ReasonAsked, ReasonCommit, ReasonTag:
			return work.Since
		case ReasonResync, ReasonStart:
			at = work.Since.Add(-min(freshForResync, resync/2))
		case ReasonDrift:
			drift = true
		}
	}
	if drift {
		return time.Time{} // it is put right also while the repository is away
	}
	return at
}

// chart brings the chart of an Application that lies outside of the config
// repos, and has what it came to among the variables.
func (b *Brain) chart(ctx context.Context, a *app, application *api.Application, vars variables, since time.Time) (variables, error) {
	q, err := b.chartQuestion(ctx, a, application, false)
	if err != nil || q.Name == "" {
		return vars, err
	}
	q.Since = since
	archive, err := b.cfg.Charts.Fetch(ctx, q)
	if err != nil {
		return vars, chartFault(ctx, err)
	}
	if s := application.Status; !q.Exact() && (s == nil || s.Chart != archive.String()) {
		b.log.Info("a range of charts resolved", "application", a.name.String(), "range", q.ChartRef.String(), "version", archive.Version, "digest", archive.Digest)
	}
	return vars.with(q.ChartRef, archive), nil
}

// knownChart is chart for who may not wait; ok is false where it would have to
// be fetched.
func (b *Brain) knownChart(ctx context.Context, a *app, application *api.Application, vars variables) (_ variables, ok bool) {
	q, err := b.chartQuestion(ctx, a, application, true)
	if err != nil || q.Name == "" {
		return vars, err == nil
	}
	archive, known := b.cfg.Charts.Known(q)
	return vars.with(q.ChartRef, archive), known
}

// with has a chart, too.
func (v variables) with(ref api.ChartRef, archive charts.Archive) variables {
	v.charts, v.chart = charts.One{Ref: ref, Archive: archive}, archive.String()
	v.version = strings.TrimSpace(v.version + " chart " + ref.Repository + "/" + ref.Name + "=" + archive.Version + "@" + archive.Digest)
	return v
}

// kustomizeCharts bring the charts that the kustomizations of an application name,
// with the config's credentials where its namespace may have them.
type kustomizeCharts struct {
	*Brain
	a     *app
	since time.Time
	here  bool // only what was brought already
}

// Chart is [charts.Source]'s.
func (k kustomizeCharts) Chart(ctx context.Context, ref api.ChartRef) (charts.Archive, error) {
	q := fetch.Question{ChartRef: ref, Since: k.since}
	var err error
	if q.Access, err = k.configAccess(k.a, ref); err != nil {
		return charts.Archive{}, fmt.Errorf("%w: %w", charts.ErrNotAllowed, err)
	}
	if !k.here {
		return k.cfg.Charts.Fetch(ctx, q)
	}
	archive, known := k.cfg.Charts.Known(q)
	if !known {
		return charts.Archive{}, fmt.Errorf("chart %s: %w yet: nobody has asked it", ref, charts.ErrAway)
	}
	return archive, nil
}

// configAccess is the config's credentials where an application may have them, else
// none. It errs where a Project doesn't allow the chart.
func (b *Brain) configAccess(a *app, ref api.ChartRef) (access fetch.Access, err error) {
	governing := b.projects.governing(a.name.Namespace)
	if len(governing) > 0 && !slices.ContainsFunc(governing, func(p *project) bool { return b.allowsChart(p, ref) }) {
		return access, fmt.Errorf("%s of namespace %s doesn't allow the chart repository %s", projectNames(governing), a.name.Namespace, ref.Repository)
	}
	if len(governing) > 0 || slices.Contains(b.cfg.Trusted, a.name.Namespace) {
		access = fetch.Config
	}
	return access, nil
}

// chartQuestion is what is asked for, with whose credentials, and who must have
// signed it. It has no name where the chart is in the repository. The Secrets wake
// from then on. Where here is set nobody is asked over the network.
func (b *Brain) chartQuestion(ctx context.Context, a *app, application *api.Application, here bool) (q fetch.Question, err error) {
	helm := application.Spec.Source.Helm
	ref, remote := helm.Remote()
	if !remote || helm.Secret == "" {
		b.apps.setSources(a.key, usedAsChart, nil)
	}
	if !remote {
		b.apps.setSources(a.key, usedAsSigners, nil)
		return q, nil
	}
	q.ChartRef = ref
	if q.Access, err = b.configAccess(a, ref); err != nil {
		return q, &refusedError{reasonProject, fmt.Errorf("%w: add it to spec.repositories there, without its scheme, or take another chart", err)}
	}
	if q.Trust, err = b.chartTrust(ctx, a, application, helm.Verify, here); err != nil {
		return q, err
	}
	if helm.Secret != "" {
		found, err := b.secretsOf(ctx, a, application, usedAsChart, []string{helm.Secret})
		if err != nil {
			return q, err
		}
		name := a.name.Namespace + "/" + helm.Secret
		if q.Access, err = fetch.SecretAccess(name+" "+found[0].version, ref, found[0].data); err != nil {
			return q, missingError{reason: reasonCredentials, message: fmt.Sprintf("spec.source.helm.secret: Secret %s: %v", name, err)}
		}
	}
	return q, nil
}

// allowsChart says whether a Project lists a chart's repository, or the chart in
// it.
func (b *Brain) allowsChart(p *project, ref api.ChartRef) bool {
	place, err := ref.Place(b.cfg.Images)
	return err == nil && (p.Repository(place) || p.Repository(place+"/"+ref.Name))
}

// chartFault says whether a chart may come, or is of no use.
func chartFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, charts.ErrBad) {
		return &refusedError{reasonBadChart, err}
	}
	if errors.Is(err, charts.ErrUntrusted) {
		return missingError{reason: reasonUntrusted, message: err.Error() + ": what runs keeps running; sign it, or say in spec.source.helm.verify who else may"}
	}
	help := ""
	if errors.Is(err, charts.ErrUnauthorized) {
		help = ": name a Secret with credentials in spec.source.helm.secret; the config's are for trusted namespaces and for those whose Project lists the chart repository"
	}
	return missingError{reason: reasonChart, message: err.Error() + help}
}
