package render

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"

	"github.com/slipway-cd/slipway/shared/render/sandbox"
)

// anew are the functions of templates that don't give the same twice.
var anew = regexp.MustCompile(`\b(rand(AlphaNum|Alpha|Ascii|Numeric|Bytes|Int)|gen(PrivateKey|CA|CAWithKey|SelfSignedCert|SelfSignedCertWithKey|SignedCert|SignedCertWithKey)|uuidv4|htpasswd|bcrypt|encryptAES|shuffle|now|ago|keys|values)\b`)

// inflate does what `helm template --include-crds` does, and with a cluster what
// its --dry-run=server does. What a chart makes up anew each time is found by
// doing it twice, where it may.
func (j job) inflate(ask sandbox.Ask) ([]piece, error) {
	files, where, err := j.unpack()
	if err != nil {
		return nil, err
	}
	var k *asking
	if j.Cluster {
		k = &asking{ask: ask}
	}
	mayVary := slices.ContainsFunc(files, func(f *archive.BufferedFile) bool { return anew.Match(f.Data) })
	pieces, err := j.once(files, where, k)
	if err != nil {
		return nil, err
	}
	if mayVary {
		again, err := j.afresh(k)
		if err != nil {
			return nil, err
		}
		for i := range pieces {
			pieces[i].Varies = len(again) != len(pieces) || !bytes.Equal(pieces[i].Text, again[i].Text)
		}
	}
	if k != nil && k.asked {
		pieces = j.unanswered(k, pieces, mayVary)
	}
	return pieces, nil
}

// afresh does it again: Helm's loader has changed the files.
func (j job) afresh(k *asking) ([]piece, error) {
	files, where, err := j.unpack()
	if err != nil {
		return nil, err
	}
	return j.once(files, where, k)
}

// once takes the steps of `helm template`.
func (j job) once(files []*archive.BufferedFile, places places, k *asking) ([]piece, error) {
	c, err := j.load(files, places)
	if err != nil {
		return nil, err
	}
	if err := j.check(c); err != nil {
		return nil, err
	}
	values, err := j.values()
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return nil, j.fault(chartFile, ReasonBuild, "dependencies: "+oneLine(err.Error()), "")
	}
	names := places.templates(c)
	capabilities, err := j.capabilities(c, k, files)
	if err != nil {
		return nil, err
	}
	if err := refuseOutsideSchemas(c, places); err != nil {
		return nil, err
	}
	top, err := util.ToRenderValues(c, values, common.ReleaseOptions{
		Name: j.ReleaseName, Namespace: j.Namespace, Revision: 1, IsInstall: true,
	}, capabilities)
	if err != nil {
		return nil, j.valuesFault(err)
	}
	printed, err := engine.Engine{CustomTemplateFuncs: k.functions()}.Render(c, top) //nolint:staticcheck // what stops it is the process' end
	if err != nil {
		return nil, j.templateFault(names, err)
	}
	return j.pieces(c, names, printed)
}

// load reads the chart. Subcharts are put in order, since Helm's loader gives
// them in any.
func (j job) load(files []*archive.BufferedFile, where places) (*chart.Chart, error) {
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, j.fault(chartFile, ReasonInvalid, "helm: "+oneLine(err.Error()), "")
	}
	sortDependencies(c, where)
	return c, nil
}

func sortDependencies(c *chart.Chart, where places) {
	deps := slices.Clone(c.Dependencies())
	slices.SortFunc(deps, func(a, b *chart.Chart) int { return strings.Compare(where.chart(a), where.chart(b)) })
	c.SetDependencies(deps...)
	for _, d := range deps {
		sortDependencies(d, where)
	}
}

// check refuses what Helm would refuse to install.
func (j job) check(c *chart.Chart) error {
	if v := c.Metadata.APIVersion; v != chart.APIVersionV1 && v != chart.APIVersionV2 {
		return j.fault(chartFile, ReasonUnsupported, fmt.Sprintf("apiVersion %q of a chart is not supported, only v1 and v2", v), "")
	}
	if t := c.Metadata.Type; t != "" && t != "application" {
		return j.fault(chartFile, ReasonUnsupported, fmt.Sprintf("a chart of type %s can't be deployed", t), "name a chart that uses it")
	}
	if err := chartutil.ValidateReleaseName(j.ReleaseName); err != nil {
		return j.fault(chartFile, ReasonInvalid, fmt.Sprintf("%q can't be the name of a Helm release", j.ReleaseName),
			"set helm.releaseName: at most 53 lower-case letters, digits, hyphens and dots")
	}
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(have *chart.Chart) bool { return have.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return j.fault(chartFile, ReasonBuild, "dependencies are missing in charts/: "+strings.Join(missing, ", "),
			"run `helm dependency build` and commit charts/, or commit the output of `helm template`")
	}
	return nil
}

// values are those of the files, the cluster and the application, in their order.
func (j job) values() (common.Values, error) {
	merged := map[string]any{}
	if len(j.Inline) > 0 {
		if err := j.inline(); err != nil {
			return nil, err
		}
	}
	for _, f := range j.ValuesFiles {
		values, err := loader.LoadValues(bytes.NewReader(f.Data))
		if err != nil {
			return nil, valuesFileFault(f.Name, err)
		}
		merged = loader.MergeMaps(merged, values)
	}
	merged, err := mergeMappings(merged, j.ValuesFrom)
	if err != nil {
		return nil, err
	}
	if len(j.Values) > 0 {
		values, err := loader.LoadValues(bytes.NewReader(j.Values)) // numbers as in a file
		if err != nil {
			return nil, valuesFileFault(j.Chart, err)
		}
		merged = loader.MergeMaps(merged, values)
	}
	return setTargets(merged, j.ValuesFrom)
}

// capabilities are the cluster's, or those of `helm template`.
func (j job) capabilities(c *chart.Chart, k *asking, files []*archive.BufferedFile) (*common.Capabilities, error) {
	capabilities, err := k.clusterOf(files)
	if err != nil {
		return nil, j.fault(chartFile, ReasonLookup, oneLine(err.Error()), "")
	}
	whose := "which is what the cluster runs"
	if capabilities == nil {
		capabilities, whose = common.DefaultCapabilities.Copy(), "as `helm template` does"
		version, err := common.ParseKubeVersion(j.KubeVersion)
		if err != nil {
			return nil, j.fault(chartFile, ReasonInvalid, fmt.Sprintf("%q is not a version of Kubernetes", j.KubeVersion), "")
		}
		capabilities.KubeVersion = *version
		capabilities.APIVersions = slices.Concat(capabilities.APIVersions, common.VersionSet(j.APIVersions))
	}
	version := &capabilities.KubeVersion
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, version.String()) {
		return nil, j.fault(chartFile, ReasonBuild, fmt.Sprintf("the chart wants Kubernetes %s, and charts are rendered for %s, %s", want, version.Version, whose), "change kubeVersion")
	}
	return capabilities, nil
}

// pieces are what helm prints, in its order: CRDs, manifests, hooks.
func (j job) pieces(c *chart.Chart, names places, printed map[string]string) ([]piece, error) {
	for name := range printed {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(printed, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(printed, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, j.manifestFault(names, err)
	}
	var all []piece
	add := func(source, text string, p piece) {
		p.File, p.Text = names.of(j.Chart, source), []byte("# Source: "+source+"\n"+text+"\n")
		all = append(all, p)
	}
	for _, crd := range c.CRDObjects() {
		add(crd.Filename, string(crd.File.Data), piece{CRD: true, Apply: true})
	}
	for _, m := range manifests {
		add(m.Name, m.Content, piece{Apply: true})
	}
	if n := len(all); n > 0 { // the stream is trimmed before the hooks follow
		all[n-1].Text = append(bytes.TrimSpace(all[n-1].Text), '\n')
	}
	for _, h := range hooks {
		add(h.Path, h.Manifest, piece{Hook: true, Apply: deploys(h), Test: tests(h)})
	}
	size := j.Used
	for _, p := range all {
		size += int64(len(p.Text))
	}
	if size > j.Limits.TotalBytes {
		return nil, j.fault(chartFile, ReasonTooLarge, fmt.Sprintf("the chart renders to more than the limit of %d bytes in all", j.Limits.TotalBytes), "split the application")
	}
	return all, nil
}

// deploys says whether a hook belongs to a deployment. What runs when a release
// is deleted or rolled back would do harm in one, and a test may.
func deploys(h *release.Hook) bool {
	return slices.ContainsFunc(h.Events, func(e release.HookEvent) bool {
		return slices.Contains([]release.HookEvent{release.HookPreInstall, release.HookPostInstall, release.HookPreUpgrade, release.HookPostUpgrade}, e)
	})
}

// tests says whether a hook is a test, and nothing of a deployment.
func tests(h *release.Hook) bool {
	return !deploys(h) && slices.Contains(h.Events, release.HookTest)
}

// unpack gives the chart's files with the archives in charts/ unpacked, and
// tells where each lies in the repository. An archive becomes a folder of a
// name that no chart has in Git, which Helm treats alike.
func (j job) unpack() ([]*archive.BufferedFile, places, error) {
	u := unpacker{where: places{}, left: j.Limits.TotalBytes - j.Used, limit: j.Limits.TotalBytes}
	for _, f := range j.Files {
		var err error
		if j.Packed {
			err = u.archive("", j.Chart, f.Data)
		} else {
			err = u.file(&archive.BufferedFile{Name: f.Name, Data: f.Data}, path.Join(j.Chart, f.Name))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return u.files, u.where, nil
}

type unpacker struct {
	files       []*archive.BufferedFile
	where       places
	left, limit int64 // bytes
}

// file takes a file, which may be an archive of a subchart.
func (u *unpacker) file(f *archive.BufferedFile, at string) error {
	if dir, name := path.Split(f.Name); path.Base(dir) == "charts" && path.Ext(name) == packed && inCharts(dir) && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") {
		return u.archive(f.Name+"|", at, f.Data)
	}
	u.where.set(f.Data, at)
	u.files = append(u.files, f)
	return nil
}

// inCharts says that a folder is charts/ of a chart: the names on the way to
// it are charts and the names of charts in turn.
func inCharts(dir string) bool {
	parts := strings.Split(strings.TrimSuffix(dir, "/"), "/")
	for i := 0; i < len(parts); i += 2 {
		if parts[i] != "charts" {
			return false
		}
	}
	return len(parts)%2 == 1
}

func (u *unpacker) archive(folder, at string, data []byte) error {
	if u.left <= 0 {
		return u.tooLarge(at)
	}
	archive.MaxDecompressedChartSize = u.left
	files, err := archive.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil && strings.Contains(err.Error(), "larger than the maximum size") {
		return u.tooLarge(at)
	}
	if err != nil {
		return &Error{File: at, Reason: ReasonInvalid, Message: "helm: " + err.Error(), Help: "pack it again with `helm package`"}
	}
	for _, f := range files {
		u.left -= int64(len(f.Data))
		f.Name = path.Join(folder, f.Name)
		if err := u.file(f, at); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tooLarge(at string) error {
	return &Error{
		File: at, Reason: ReasonTooLarge, Message: fmt.Sprintf("unpacked it is larger than the limit of %d bytes in all", u.limit),
		Help: "split the application",
	}
}
