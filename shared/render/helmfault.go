package render

import (
	"path"
	"strconv"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// places say where things lie in the repository: the bytes of a file, by their
// address, or a template, by the name that helm prints.
type places map[any]string

func (p places) set(data []byte, at string) {
	if len(data) > 0 {
		p[&data[0]] = at
	}
}

func (p places) data(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return p[&data[0]]
}

// chart is where a chart's Chart.yaml lies.
func (p places) chart(c *chart.Chart) string {
	for _, f := range c.Raw {
		if f.Name == chartFile {
			return p.data(f.Data)
		}
	}
	return ""
}

// templates gives the places of a chart's templates and CRDs, and of those of
// its subcharts, by the names that helm prints.
func (p places) templates(c *chart.Chart) places {
	names := places{}
	p.collect(c, names)
	return names
}

func (p places) collect(c *chart.Chart, names places) {
	for _, f := range c.Templates {
		names[path.Join(c.ChartFullPath(), f.Name)] = p.data(f.Data)
	}
	for _, f := range c.Files {
		names[path.Join(c.ChartFullPath(), f.Name)] = p.data(f.Data)
	}
	for _, d := range c.Dependencies() {
		p.collect(d, names)
	}
}

// of is a template's place by its name.
func (p places) of(chart, name string) string {
	if at := p[name]; at != "" {
		return at
	}
	return chart
}

func (j job) fault(file string, reason Reason, message, help string) *Error {
	at := path.Join(j.Chart, file)
	if j.Packed {
		at = j.Chart
	}
	return &Error{File: at, Reason: reason, Message: message, Help: help}
}

// templateFault finds the template and the line that an error is about.
func (j job) templateFault(names places, err error) error {
	text := err.Error()
	fault := j.fault(chartFile, ReasonBuild, "", "")
	best := -1
	for name, at := range names {
		source, _ := name.(string)
		i, line := mention(text, source)
		if i >= 0 && (best < 0 || i < best) {
			best, fault.File, fault.Line = i, at, line
		}
	}
	if own, found := strings.CutPrefix(text, "execution error at ("); found {
		if _, message, ok := strings.Cut(own, "): "); ok {
			text = message // what the chart's author wrote
		}
	}
	if j.hides() && len(text) > longest { // a part of a secret would not be known for one
		text = "a template fails with more words than can be shown beside what was looked up, or comes from a Secret"
	}
	fault.Message = "helm: " + oneLine(text)
	return fault
}

// mention is where a text mentions "name:line"; -1 for nowhere.
func mention(text, name string) (at, line int) {
	for from := 0; name != ""; {
		i := strings.Index(text[from:], name+":")
		if i < 0 {
			return -1, 0
		}
		start := from + i
		rest := text[start+len(name)+1:]
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if n, err := strconv.Atoi(rest[:digits]); err == nil && (start == 0 || !strings.ContainsAny(text[start-1:start], "/-_.abcdefghijklmnopqrstuvwxyz")) {
			return start, n
		}
		from = start + 1
	}
	return -1, 0
}

// manifestFault tells of what a template gives that is not YAML.
func (j job) manifestFault(names places, err error) error {
	text := err.Error()
	rest, found := strings.CutPrefix(text, "YAML parse error on ")
	if !found {
		return j.fault(chartFile, ReasonBuild, "helm: "+oneLine(text), "")
	}
	source, problem, _ := strings.Cut(rest, ": ")
	problem = strings.TrimPrefix(strings.TrimPrefix(problem, "error converting YAML to JSON: "), "yaml: ")
	if strings.HasPrefix(problem, "error unmarshaling JSON") {
		problem = "it is not a mapping"
	}
	return &Error{
		File: names.of(j.Chart, source), Reason: ReasonInvalid, Message: "the template gives invalid YAML: " + oneLine(problem),
		Help: "lines are those of the document that it gives: see it with `helm template --debug`",
	}
}

// valuesFault tells of values that don't fit the chart.
func (j job) valuesFault(err error) error {
	text := err.Error()
	help := ""
	if rest, found := strings.CutPrefix(text, "values don't meet the specifications of the schema(s) in the following chart(s):"); found {
		text, help = "the values don't fit values.schema.json: "+rest, "mend the values: helm.values, helm.valuesFiles or the chart's values.yaml"
	}
	if j.hides() && len(text) > longest {
		text = "the values don't fit the chart, for more reasons than can be shown beside what comes from a Secret"
	}
	return j.fault("values.yaml", ReasonInvalid, oneLine(text), help)
}

func valuesFileFault(file string, err error) error {
	text := err.Error()
	for _, prefix := range []string{"cannot unmarshal yaml document: ", "error converting YAML to JSON: ", "yaml: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	fault := &Error{File: file, Reason: ReasonInvalid, Help: "mend the values file"}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, bad := strconv.Atoi(m[1]); bad == nil {
			fault.Line, text = n, strings.Replace(text, m[0]+": ", "", 1)
		}
	}
	fault.Message = "invalid YAML: " + oneLine(text)
	return fault
}
