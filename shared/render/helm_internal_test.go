package render

import (
	"bytes"
	"encoding/gob"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// benchChart is a chart of 10 objects with helpers, as `helm create` makes
// them.
func benchChart() fstest.MapFS {
	files := fstest.MapFS{
		"web/Chart.yaml":             {Data: []byte("apiVersion: v2\nname: web\nversion: 1.2.3\n")},
		"web/values.yaml":            {Data: []byte("replicas: 2\nimage: {repository: nginx, tag: \"1.0\"}\nresources: {limits: {cpu: 100m, memory: 128Mi}}\n")},
		"web/templates/_helpers.tpl": {Data: []byte("{{- define \"web.name\" -}}\n{{- printf \"%s-%s\" .Release.Name .Chart.Name | trunc 63 | trimSuffix \"-\" }}\n{{- end }}\n{{- define \"web.labels\" -}}\nhelm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}\napp.kubernetes.io/name: {{ include \"web.name\" . }}\n{{- end }}\n")},
	}
	for i := range 10 {
		name := string(rune('a' + i))
		files["web/templates/"+name+".yaml"] = &fstest.MapFile{Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include \"web.name\" . }}-" + name + "\n  labels:\n    {{- include \"web.labels\" . | nindent 4 }}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector:\n    matchLabels:\n      {{- include \"web.labels\" . | nindent 6 }}\n  template:\n    metadata:\n      labels:\n        {{- include \"web.labels\" . | nindent 8 }}\n    spec:\n      containers:\n      - name: web\n        image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n        resources:\n          {{- toYaml .Values.resources | nindent 10 }}\n")}
	}
	for _, f := range files {
		f.Mode = 0o644
	}
	return files
}

func BenchmarkChart(b *testing.B) {
	files := benchChart()
	b.Run("in a child", func(b *testing.B) {
		for b.Loop() {
			if r, err := Render(b.Context(), Request{FS: files, Path: "web"}); err != nil || len(r.Objects) != 10 {
				b.Fatal(len(r.Objects), err)
			}
		}
	})
	b.Run("in a child of its own", func(b *testing.B) {
		for b.Loop() {
			children.Close()
			if _, err := Render(b.Context(), Request{FS: files, Path: "web"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the floor: Helm in this process", func(b *testing.B) {
		src := &source{fsys: files, limits: Limits{}.orDefault(), dirs: map[string]bool{}}
		j := job{Chart: "web", ReleaseName: "r", Namespace: "n", KubeVersion: DefaultKubeVersion, Limits: src.limits}
		if err := j.chart(b.Context(), src); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if pieces, err := j.inflate(nil); err != nil || len(pieces) != 10 {
				b.Fatal(len(pieces), err)
			}
		}
	})
}

// FuzzAnswer reads what a child answers: whatever it is, the parent lives.
func FuzzAnswer(f *testing.F) {
	var good bytes.Buffer
	err := gob.NewEncoder(&good).Encode(done{Pieces: []piece{
		{File: "web/crds/a.yaml", CRD: true, Apply: true, Text: []byte("# Source: x\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nkind: B\n")},
		{File: "web/templates/a.yaml", Apply: true, Text: []byte("# Source: y\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: A, metadata: {name: b}}]\n")},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := readDone("web", data)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%v is no *Error", err)
			}
			return
		}
		objects, err := chartObjects(&source{limits: Limits{}.orDefault()}, answer.Pieces)
		for _, o := range objects {
			if err == nil && (o.Kind == "" || o.Name == "" || o.Line < 0) {
				t.Errorf("object without identity: %+v", o)
			}
		}
	})
}

// FuzzPackedChart unpacks what is said to be a chart.
func FuzzPackedChart(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := job{Chart: "a.tgz", Packed: true, Files: []file{{"a.tgz", data}}, ReleaseName: "r", Namespace: "n", KubeVersion: DefaultKubeVersion, Limits: Limits{TotalBytes: 1 << 20}}
		_, where, err := j.unpack()
		if fault, ok := errors.AsType[*Error](err); err != nil && (!ok || fault.File != "a.tgz") {
			t.Errorf("%v", err)
		}
		for key, at := range where {
			if _, ok := key.(*byte); !ok || at != "a.tgz" {
				t.Errorf("%v lies at %q", key, at)
			}
		}
		var request bytes.Buffer
		if err := gob.NewEncoder(&request).Encode(j); err != nil {
			t.Fatal(err)
		}
		if _, err := readDone("a.tgz", doJob(request.Bytes(), nil)); err != nil && strings.Contains(err.Error(), "can't be read") {
			t.Error(err)
		}
	})
}
