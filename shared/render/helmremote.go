package render

import (
	"cmp"
	"context"
	"errors"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
)

// remote says that the chart lies outside of the repository.
func (h Release) remote() bool { return h.Remote != api.ChartRef{} }

// read reads the chart, wherever it is.
func (j *job) read(ctx context.Context, src *source, h Release) error {
	if h.remote() {
		_, err := j.fetched(ctx, src, h.Remote)
		return err
	}
	return j.chart(ctx, src)
}

// fetched has the files of a chart that is brought from elsewhere. They are
// unpacked here, so that the places of faults are those within the archive.
func (j *job) fetched(ctx context.Context, src *source, ref api.ChartRef) (charts.Archive, error) {
	if src.charts == nil {
		return charts.Archive{}, &Error{
			File: ref.Name, Reason: ReasonUnsupported, Message: "the chart lies in " + ref.Repository + ", and nothing is fetched here",
			Help: "render it where charts are fetched",
		}
	}
	archive, err := src.charts.Chart(ctx, ref)
	if err != nil {
		if ctx.Err() != nil {
			return charts.Archive{}, ctx.Err()
		}
		return charts.Archive{}, &Error{File: ref.Name, Reason: reasonOfChart(err), Message: err.Error(), Help: helpForChart(err), Err: err}
	}
	j.Chart = ref.Name + "-" + cmp.Or(archive.Version, ref.Version) + packed
	files, err := charts.Files(archive.Data, src.limits.TotalBytes-src.bytes)
	if err != nil {
		return charts.Archive{}, &Error{File: j.Chart, Reason: ReasonInvalid, Message: err.Error(), Help: helpForChart(err), Err: err}
	}
	for _, f := range files {
		src.bytes += int64(len(f.Data))
		j.Files = append(j.Files, file(f))
	}
	return archive, nil
}

func reasonOfChart(err error) Reason {
	switch {
	case errors.Is(err, charts.ErrNotAllowed):
		return ReasonUnsupported
	case errors.Is(err, charts.ErrBad):
		return ReasonInvalid
	}
	return ReasonChart
}

// helpForChart says what to do where a chart can't be had.
func helpForChart(err error) string {
	switch {
	case errors.Is(err, charts.ErrNotAllowed):
		return "add it to spec.repositories there, or take another chart"
	case errors.Is(err, charts.ErrMissing):
		return "check chart, version and repository, or publish it"
	case errors.Is(err, charts.ErrUnauthorized):
		return "check the credentials that spec.source.helm.secret names, or those of the config"
	case errors.Is(err, charts.ErrDigest):
		return "have the repository's index written anew, or the chart published again"
	case errors.Is(err, charts.ErrBad):
		return "pack it with `helm package` and publish it as another version"
	}
	return ""
}
