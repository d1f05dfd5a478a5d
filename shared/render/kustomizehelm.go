package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigs "sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

// Charts within a kustomization: what `kustomize build --enable-helm` does, without
// the command. A chart is rendered before kustomize begins, which finds its objects in
// a component: components come where generators do, behind the resources.

// helmChart is an entry of helmCharts:
// https://kubectl.docs.kubernetes.io/references/kustomize/builtins/#_helmchartinflationgenerator_
type helmChart struct {
	Name                  string         `json:"name"`
	Version               string         `json:"version"`
	Repo                  string         `json:"repo"`
	ReleaseName           string         `json:"releaseName"`
	Namespace             string         `json:"namespace"`
	AdditionalValuesFiles []string       `json:"additionalValuesFiles"`
	ValuesFile            string         `json:"valuesFile"`
	ValuesInline          map[string]any `json:"valuesInline"`
	ValuesMerge           string         `json:"valuesMerge"`
	IncludeCRDs           bool           `json:"includeCRDs"`
	SkipHooks             bool           `json:"skipHooks"`
	APIVersions           []string       `json:"apiVersions"`
	KubeVersion           string         `json:"kubeVersion"`
	NameTemplate          string         `json:"nameTemplate"`
	SkipTests             bool           `json:"skipTests"` // they never run
	Debug                 bool           `json:"debug"`     // told nobody
	Devel                 bool           `json:"devel"`
}

// helmGlobals are for all charts of a kustomization.
type helmGlobals struct {
	ChartHome  string `json:"chartHome"`
	ConfigHome string `json:"configHome"` // of a command that isn't run
}

// generated marks what a chart made, for kustomize: its namespace is the chart's own.
const generated = "internal.config.kubernetes.io/helm-generated"

// helmDir is where kustomize finds what charts made, beside the kustomization.
const (
	helmDir  = remoteDir + "/" + helmName
	helmName = "helm"
)

// charts renders the charts of a kustomization, and has it name the component with
// their objects in the place of them.
func (s scanner) charts(root *yaml.Node) error {
	list := field(root, "helmCharts")
	if list == nil || s.inline {
		return nil
	}
	var charts []helmChart
	if err := decodeStrictly(list, &charts); err != nil {
		return s.chartError(list, ReasonInvalid, "helmCharts: "+err.Error(), "write it as kustomize documents it")
	}
	var globals helmGlobals
	if n := field(root, "helmGlobals"); n != nil {
		if err := decodeStrictly(n, &globals); err != nil {
			return s.chartError(n, ReasonInvalid, "helmGlobals: "+err.Error(), "write it as kustomize documents it")
		}
	}
	var names []string
	for i, c := range charts {
		at := list.Content[i]
		if err := c.check(); err != nil {
			return s.chartError(at, ReasonUnsupported, fmt.Sprintf("helmCharts[%d]: %s", i, err), "")
		}
		if c.Namespace == "" {
			if c.Namespace = s.namespace; s.inherits {
				s.in.family(s.dir).charts = true
			}
			if err := s.torn(at, s.dir); err != nil {
				return err
			}
		}
		objects, err := s.in.inflateChart(s, at, c, globals)
		if err != nil {
			return err
		}
		if len(objects) == 0 {
			continue // kustomize takes no empty file
		}
		name := strconv.Itoa(i) + ".yaml"
		s.in.written[path.Join(s.dir, helmDir, name)] = asGenerated(objects)
		names = append(names, name)
	}
	if len(charts) > 0 {
		s.component(root, names)
	}
	return nil
}

// component has a kustomization name what charts made.
func (s scanner) component(root *yaml.Node, names []string) {
	s.without(root, "helmCharts", "helmGlobals")
	if len(names) == 0 {
		return
	}
	text, err := sigs.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "resources": names})
	if err != nil {
		panic(fmt.Sprintf("write a component: %v", err)) // plain data
	}
	s.in.written[path.Join(s.dir, helmDir, kustomizationNames[0])] = text
	s.in.folders[path.Join(s.dir, helmDir)] = true
	s.in.named = append(s.in.named, path.Join(s.dir, helmDir))
	components := field(root, "components")
	if components == nil || components.Kind != yaml.SequenceNode {
		s.without(root, "components")
		components = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "components"}, components)
	}
	components.Content = slices.Insert(components.Content, 0, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: helmDir})
}

// without takes fields out of a mapping.
func (s scanner) without(root *yaml.Node, names ...string) {
	kept := root.Content[:0:0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !slices.Contains(names, root.Content[i].Value) {
			kept = append(kept, root.Content[i], root.Content[i+1])
		}
	}
	root.Content, *s.changed = kept, true
}

func (s scanner) chartError(at *yaml.Node, reason Reason, message, help string) error {
	return &Error{File: s.file, Line: s.line(at), Reason: reason, Message: message, Help: help}
}

// decodeStrictly reads a node as kustomize does, by way of JSON.
func decodeStrictly(n *yaml.Node, into any) error {
	left := maxNodes
	whole, err := withoutAliases(n, &left)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(whole)
	if err != nil {
		return err
	}
	return sigs.UnmarshalStrict(text, into)
}

// maxNodes bounds what aliases may come to.
const maxNodes = 100_000

// withoutAliases copies a node with what its aliases stand for: they may do so
// outside of it.
func withoutAliases(n *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errors.New("its aliases come to too much")
	}
	n = resolve(n)
	whole := *n
	whole.Anchor, whole.Content = "", make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		var err error
		if whole.Content[i], err = withoutAliases(child, left); err != nil {
			return nil, err
		}
	}
	return &whole, nil
}

// check refuses what can't be rendered the same way twice, or not at all.
func (c helmChart) check() error {
	switch {
	case c.Name == "":
		return fmt.Errorf("the chart has no name")
	case strings.Contains(c.Name, "/") || strings.HasPrefix(c.Name, "-") || c.Name == "..":
		return fmt.Errorf("%q can't be the name of a chart", c.Name)
	case c.NameTemplate != "":
		return fmt.Errorf("nameTemplate is not supported: write releaseName")
	case c.ReleaseName == "":
		return fmt.Errorf("releaseName is missing: kustomize would make up another at each build")
	case c.Devel && !(api.ChartRef{Version: c.Version}).Exact():
		return fmt.Errorf("devel is not supported with a range: write the version")
	case !slices.Contains([]string{"", "override", "merge", "replace"}, c.ValuesMerge):
		return fmt.Errorf("valuesMerge is %q, and must be override, merge or replace", c.ValuesMerge)
	}
	return nil
}

// inflateChart renders one chart.
func (r *repository) inflateChart(s scanner, at *yaml.Node, c helmChart, globals helmGlobals) ([]Object, error) {
	j := job{
		ReleaseName: c.ReleaseName, Namespace: cmp.Or(c.Namespace, "default"), KubeVersion: cmp.Or(c.KubeVersion, DefaultKubeVersion),
		APIVersions: c.APIVersions, Limits: r.src.limits,
	}
	if err := r.readChart(s, at, c, globals, &j); err != nil {
		return nil, err
	}
	if err := r.chartValues(s, at, c, &j); err != nil {
		return nil, err
	}
	j.Used = r.src.bytes
	pieces, err := inflate(r.ctx, j, newAnswering(nil, r.src))
	if err != nil {
		return nil, err
	}
	pieces = slices.DeleteFunc(pieces, func(p piece) bool { return p.CRD && !c.IncludeCRDs || p.Hook && c.SkipHooks })
	objects, err := chartObjects(r.src, pieces)
	for _, o := range objects {
		if o.Varies {
			r.varies = append(r.varies, o.ID)
		}
	}
	return objects, err
}

// readChart has a job read the chart: from the folder of charts, else from where it
// is said to be.
func (r *repository) readChart(s scanner, at *yaml.Node, c helmChart, globals helmGlobals, j *job) error {
	home := path.Join(s.dir, cmp.Or(globals.ChartHome, "charts"))
	if c.Version != "" && c.Repo != "" {
		home = path.Join(home, c.Name+"-"+c.Version)
	}
	j.Chart = path.Join(home, c.Name)
	if mount := mountOf(s.file); mount != "" && !strings.HasPrefix(j.Chart, mount+"/") {
		return s.chartError(at, ReasonUnsupported, fmt.Sprintf("the chart %s leaves its repository", c.Name), "what comes from another repository can't name what lies in this one")
	}
	r.looked[j.Chart] = true
	if r.src.isFile(path.Join(j.Chart, chartFile)) {
		return j.chart(r.ctx, r.src)
	}
	if c.Repo == "" {
		return s.chartError(at, ReasonBuild, fmt.Sprintf("there is no chart in %s, and no repo is named", j.Chart), "check name and helmGlobals.chartHome, or write repo and version")
	}
	ref := api.ChartRef{Repository: strings.TrimRight(c.Repo, "/"), Name: c.Name, Version: cmp.Or(c.Version, "*")}
	if faults := ref.Faults("repo", "name", "version"); len(faults) > 0 {
		return s.chartError(at, ReasonInvalid, "helmCharts: "+errors.Join(faults...).Error(), "")
	}
	archive, err := j.fetched(r.ctx, r.src, ref)
	if err == nil && !ref.Exact() {
		r.ranges = append(r.ranges, ref.String()+"="+archive.Version+"@"+archive.Digest)
	}
	return err
}

// chartValues has a job read the values files. Those in place are merged with the
// first, or with the chart's own, as kustomize does.
func (r *repository) chartValues(s scanner, at *yaml.Node, c helmChart, j *job) error {
	names := c.AdditionalValuesFiles
	if c.ValuesFile != "" {
		names = append([]string{c.ValuesFile}, names...)
	}
	for _, name := range names {
		where := path.Join(s.dir, name)
		if isHTTP(name) || path.IsAbs(name) || s.dir != "." && !strings.HasPrefix(where, s.dir+"/") || strings.HasPrefix(where, "../") {
			return s.chartError(at, ReasonUnsupported, fmt.Sprintf("the values file %q is not below the kustomization", redact(name)), "copy it there, as kustomize wants it")
		}
		r.looked[where] = true
		data, err := valuesFile(r.src, where)
		if err != nil {
			return err
		}
		j.ValuesFiles = append(j.ValuesFiles, file{where, data})
	}
	if len(c.ValuesInline) == 0 {
		return nil
	}
	if c.ValuesFile == "" {
		own := slices.IndexFunc(j.Files, func(f file) bool { return f.Name == valuesName })
		first := file{Name: path.Join(j.Chart, valuesName)}
		if own >= 0 {
			first.Data = j.Files[own].Data
		}
		j.ValuesFiles = slices.Insert(j.ValuesFiles, 0, first)
	}
	var err error
	j.Merge = cmp.Or(c.ValuesMerge, "override")
	j.Inline, err = json.Marshal(c.ValuesInline)
	return err
}

// valuesName is the file of a chart's own values.
const valuesName = "values.yaml"

// below has a kustomization know the namespace of one that takes it in, since its
// charts are released there.
func (s scanner) below(at *yaml.Node, dir string) error {
	if f := s.in.family(dir); !slices.Contains(f.namespaces, s.namespace) {
		f.namespaces = append(f.namespaces, s.namespace)
	}
	return s.torn(at, dir)
}

// torn errs where a kustomization's charts would be released into two namespaces.
func (s scanner) torn(at *yaml.Node, dir string) error {
	f := s.in.family(dir)
	if !f.charts || len(f.namespaces) < 2 {
		return nil
	}
	return s.chartError(at, ReasonUnsupported, fmt.Sprintf("the charts of %s are taken into the namespaces %q and %q in one build", dir, f.namespaces[0], f.namespaces[1]), "write their namespace in helmCharts")
}

// family is what a kustomization has of those that take it in.
type family struct {
	namespaces []string // one, for most
	charts     bool     // it has charts that are released there
}

// family is that of a folder's kustomization.
func (r *repository) family(dir string) *family {
	if r.families[dir] == nil {
		r.families[dir] = &family{}
	}
	return r.families[dir]
}

// asGenerated writes objects for kustomize, and marks them.
func asGenerated(objects []Object) []byte {
	var text bytes.Buffer
	for _, o := range objects {
		metadata, _ := o.Map["metadata"].(map[string]any) // it has a name
		annotations, _ := metadata["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
		}
		annotations[generated] = "true"
		metadata["annotations"] = annotations
		writeObject(&text, o.Map)
	}
	return text.Bytes()
}

// writeObject writes one of a stream, for kustomize to read.
func writeObject(text *bytes.Buffer, object map[string]any) {
	data, err := json.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("write an object: %v", err)) // it was read from text
	}
	text.WriteString("---\n")
	text.Write(data)
	text.WriteByte('\n')
}

// markVaries says of built objects that the charts' would be others at each render.
// One that kustomize has renamed is known by the name within its own.
func (r *repository) markVaries(objects []Object) {
	for _, id := range r.varies {
		same := func(o Object) bool { return o.Kind == id.Kind && o.Name == id.Name }
		if !slices.ContainsFunc(objects, same) {
			same = func(o Object) bool { return o.Kind == id.Kind && strings.Contains(o.Name, id.Name) }
		}
		for i := range objects {
			objects[i].Varies = objects[i].Varies || same(objects[i])
		}
	}
}
