package render_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// postChart has of everything something: a definition apart and one among the
// templates, a hook, a password, and kinds in an order of Helm's own.
func postChart() fstest.MapFS {
	return repo(
		"app/chart/Chart.yaml", chartYAML,
		"app/chart/crds/a.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.example.com}\nspec: {group: example.com}\n",
		"app/chart/templates/crd.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: b.example.com}\n",
		"app/chart/templates/workload.yaml", deployment+"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: other}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
		"app/chart/templates/secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData:\n  password: {{ .Values.password | default (randAlphaNum 8) }}\n",
		"app/chart/templates/cm.yaml", cmOf("web", "  a: \"1\"\n  b: {{ .Release.Name }}\n"),
		"app/chart/templates/hook.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {helm.sh/hook: pre-install}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: m, image: \"nginx:1.0\"}]\n",
		"app/chart/templates/test.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: test\n  annotations: {\"helm.sh/hook\": test}\n",
		"app/merge.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {merged: \"yes\"}}\n",
		"component/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\nreplacements:\n- source: {kind: Service, name: web, fieldPath: metadata.namespace}\n  targets: [{select: {kind: ConfigMap, name: web}, fieldPaths: [data.b]}]\n",
		"component/extra.yaml", cm("extra"),
	)
}

// TestAChartIsPostRenderedAsByTheTools compares with `helm template | kustomize build`
// in one folder, without what no post-renderer sees.
func TestAChartIsPostRenderedAsByTheTools(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fields api.KustomizeSource
		own    string   // what a person would write
		inputs []string // beside the chart
	}{
		"patches": {
			api.KustomizeSource{Patches: []api.KustomizePatch{
				{Patch: "- {op: replace, path: /spec/replicas, value: 7}", Target: &api.KustomizeTarget{Kind: "Deployment"}},
				{Path: "merge.yaml"},
				{Patch: "- {op: replace, path: /metadata/annotations, value: {helm.sh/hook: post-install}}", Target: &api.KustomizeTarget{Kind: "Job"}},
				{Patch: "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"},
			}},
			"patches:\n- {patch: \"- {op: replace, path: /spec/replicas, value: 7}\", target: {kind: Deployment}}\n- path: merge.yaml\n- {patch: \"- {op: replace, path: /metadata/annotations, value: {helm.sh/hook: post-install}}\", target: {kind: Job}}\n- patch: \"$patch: delete\\napiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: web}\\n\"\n",
			[]string{"app/merge.yaml"},
		},
		"images and replicas": {
			api.KustomizeSource{Images: []api.KustomizeImage{{Name: "nginx", NewName: "ghcr.io/acme/nginx", NewTag: "1.2"}}, Replicas: []api.KustomizeReplica{{Name: "web", Count: 3}}},
			"images: [{name: nginx, newName: ghcr.io/acme/nginx, newTag: \"1.2\"}]\nreplicas: [{name: web, count: 3}]\n", nil,
		},
		"names": {
			api.KustomizeSource{
				NamePrefix: "a-", NameSuffix: "-z", Namespace: "shop", CommonLabels: map[string]string{"team": "x"}, CommonAnnotations: map[string]string{"note": "hint"},
				Labels: []api.KustomizeLabels{{Pairs: map[string]string{"l": "m"}, IncludeTemplates: true}},
			},
			"namePrefix: a-\nnameSuffix: -z\nnamespace: shop\ncommonLabels: {team: x}\ncommonAnnotations: {note: hint}\nlabels: [{pairs: {l: m}, includeTemplates: true}]\n", nil,
		},
		"components": {api.KustomizeSource{Components: []string{"../component"}}, "components: [../component]\n", []string{"component/extra.yaml"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := postChart()
			given, err := helm(t, files, "template", "web", "app/chart", "--skip-tests", "--set", "password=given")
			if err != nil {
				t.Fatal(err)
			}
			app := &api.Application{Spec: api.ApplicationSpec{Source: api.Source{Path: "app", Kustomize: &tt.fields, Helm: &api.HelmSource{Chart: "chart", Values: map[string]any{"password": "given"}}}}}
			app.Metadata.Name = "web"
			files["app/kustomization.yaml"] = &fstest.MapFile{Data: []byte("none: of the chart's business\n"), Mode: 0o644}
			got, err := render.Render(t.Context(), render.Application(files, app))
			if err != nil {
				t.Fatal(err)
			}
			files["app/given.yaml"] = &fstest.MapFile{Data: []byte(given), Mode: 0o644}
			files["app/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [given.yaml]\nsortOptions: {order: fifo}\n" + tt.own), Mode: 0o644}
			want := sortedStream(kustomizeBuild(t, files, "app"))
			if apart := got.Objects[0]; apart.Name != "a.example.com" || !strings.HasPrefix(string(apart.Raw), "# Source: web/crds/a.yaml\n") {
				t.Errorf("the definition that stands apart has changed: %s", apart.Raw)
			}
			built := documents(got.Objects[1:])
			slices.Sort(built)
			if !slices.Equal(built, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(built, "---\n"), strings.Join(want, "---\n"))
			}
			if got.Kind != render.Helm {
				t.Errorf("kind %q", got.Kind)
			}
			for _, file := range []string{"app/merge.yaml", "component/extra.yaml", "app/chart/values.yaml", "app/kustomization.yaml"} {
				if got.Touched([]string{file}) != slices.Contains(append(tt.inputs, "app/chart/values.yaml"), file) {
					t.Errorf("inputs %q", got.Inputs)
				}
			}
		})
	}
}

// TestChartsOfAllSortsArePostRenderedAsByTheTool leaves out those that have text which
// YAML 1.2 reads otherwise, or refuses.
func TestChartsOfAllSortsArePostRenderedAsByTheTool(t *testing.T) {
	t.Parallel()
	otherwise := []string{"CRLF", "empty documents, comments, white space", "keys that are there twice", "schema"}
	for _, c := range chartCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			request := render.Request{FS: c.files, Path: c.path, Helm: c.helm}
			plain, err := render.Render(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			request.Kustomize = &api.KustomizeSource{NamePrefix: "a-", CommonAnnotations: map[string]string{"note": "hint"}}
			got, err := render.Render(t.Context(), request)
			if err != nil || len(got.Objects) != len(plain.Objects) {
				t.Fatalf("%q, %v", names(got.Objects), err)
			}
			var given []string
			var built []render.Object
			for i, o := range got.Objects {
				if was := plain.Objects[i]; o.File != was.File || o.Kind != was.Kind || !strings.HasSuffix(o.Name, was.Name) {
					t.Errorf("%s comes from %s, and came as %s from %s", o.ID, o.File, was.ID, was.File)
				}
				if o.Kind != "CustomResourceDefinition" {
					given, built = append(given, string(plain.Objects[i].Raw)), append(built, o)
				}
			}
			if len(given) == 0 || slices.Contains(otherwise, c.name) {
				return
			}
			want := sortedStream(kustomizeBuild(t, repo("a/given.yaml", strings.Join(given, "\n---\n"),
				"a/kustomization.yaml", "resources: [given.yaml]\nnamePrefix: a-\ncommonAnnotations: {note: hint}\n"), "a"))
			texts := documents(built)
			if slices.Sort(texts); !slices.Equal(texts, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(texts, "---\n"), strings.Join(want, "---\n"))
			}
		})
	}
}

// TestWhatIsKnownOfAChartsObjectsOutlivesKustomize renames them so that each has the
// name of another.
func TestWhatIsKnownOfAChartsObjectsOutlivesKustomize(t *testing.T) {
	t.Parallel()
	files := repo(
		"web/Chart.yaml", chartYAML,
		"web/templates/pw.yaml", "{{ if not (lookup \"v1\" \"Secret\" .Release.Namespace \"pw\") }}\napiVersion: v1\nkind: Secret\nmetadata: {name: pw}\nstringData: {password: {{ randAlphaNum 24 }}}\n{{ end }}\n",
		"web/templates/varies.yaml", cmOf("x", "  a: {{ randAlphaNum 24 }}\n"),
		"web/templates/same.yaml", cmOf("a-x", "  a: b\n"),
		"web/templates/gone.yaml", cmOf("gone", "  a: b\n"),
		"web/templates/hook.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: migrate-\n  annotations: {helm.sh/hook: pre-install}\nspec:\n  template: {spec: {volumes: [{name: pw, secret: {secretName: pw}}]}}\n",
	)
	request := looking(files, &cluster{objects: map[render.Lookup]string{password("shop", "pw"): kept(hunter)}})
	request.Kustomize = &api.KustomizeSource{NamePrefix: "a-", Namespace: "other", Patches: []api.KustomizePatch{
		{Patch: "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n"},
		{Patch: "- {op: add, path: /metadata/annotations, value: {a: b}}\n- {op: add, path: /metadata/labels, value: {a: b}}\n", Target: &api.KustomizeTarget{Kind: "ConfigMap"}},
	}}
	got, err := render.Render(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, o := range got.Objects {
		if strings.Contains(string(o.Raw), "x-slipway") {
			t.Errorf("a mark is left: %s", o.Raw)
		}
		told = append(told, fmt.Sprintf("%s %s varies=%t kept=%t", o.ID, o.File, o.Varies, o.Kept))
	}
	hook := got.Objects[0].Name
	want := []string{
		"Job.batch other/" + hook + " web/templates/hook.yaml varies=false kept=false",
		"ConfigMap other/a-a-x web/templates/same.yaml varies=false kept=false",
		"ConfigMap other/a-x web/templates/varies.yaml varies=true kept=false",
		"Secret other/a-pw web/templates/pw.yaml varies=true kept=true",
	}
	if !slices.Equal(told, want) || !strings.HasPrefix(hook, "a-migrate-") || !got.Asked {
		t.Errorf("asked %t, got\n%s\nwant\n%s", got.Asked, strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(string(got.Objects[0].Raw), "secretName: a-pw") {
		t.Errorf("what is kept isn't known by its new name: %s", got.Objects[0].Raw)
	}
}

func TestAChartWithoutFieldsOfKustomizeStaysAsItIs(t *testing.T) {
	t.Parallel()
	request := render.Request{FS: postChart(), Path: "app", Helm: render.Release{Chart: "chart", Values: map[string]any{"password": "given"}}}
	want, err := render.Render(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	request.Kustomize = &api.KustomizeSource{LoadRestrictor: api.LoadRestrictionsNone}
	got, err := render.Render(t.Context(), request)
	if err != nil || !slices.Equal(documents(got.Objects), documents(want.Objects)) || !slices.Equal(got.Inputs, want.Inputs) {
		t.Errorf("got %q of %q, %v", documents(got.Objects), got.Inputs, err)
	}
	// One that gives nothing gets what a component has.
	request = render.Request{FS: merged(repo("web/Chart.yaml", chartYAML), postChart()), Path: "web", Kustomize: &api.KustomizeSource{Components: []string{"../component"}, NamePrefix: "a-"}}
	request.FS.(fstest.MapFS)["component/kustomization.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n"), Mode: 0o644}
	if got, err = render.Render(t.Context(), request); err != nil || len(got.Objects) != 1 || got.Objects[0].Name != "a-extra" || got.Objects[0].File != "web" {
		t.Errorf("%+v, %v", got.Objects, err)
	}
}

func TestAPostRenderersFilesAndVariablesAreReadAsEver(t *testing.T) {
	t.Parallel()
	patch := "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {password: hunter2-and-more, region: \"${REGION}\"}\n"
	files := merged(postChart(), repo("app/secret.yaml", "sealed: true\n"+mark))
	request := render.Request{
		FS: files, Path: "app", Helm: render.Release{Chart: "chart"}, Vars: map[string]string{"REGION": "eu"}, Decrypter: plainText{patch, []string{hunter}},
		Kustomize: &api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "secret.yaml"}}},
	}
	got, err := render.Render(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Objects, func(o render.Object) bool { return o.Kind == "Secret" })
	if secret := string(got.Objects[i].Raw); !strings.Contains(secret, "region: eu") || !strings.Contains(secret, hunter) || !got.Touched([]string{"app/secret.yaml"}) {
		t.Errorf("%s of %q", secret, got.Inputs)
	}
	if hidden := got.Masks.Hide("it is " + hunter); strings.Contains(hidden, hunter) {
		t.Errorf("what was decrypted is told: %s", hidden)
	}
	request.Vars = map[string]string{}
	if _, err = render.Render(t.Context(), request); err == nil || !strings.Contains(err.Error(), "app/secret.yaml:4: ") || !strings.Contains(err.Error(), "REGION") {
		t.Errorf("a variable without a value: %v", err)
	}
}

func TestAPostRendererThatFailsSaysWhere(t *testing.T) {
	t.Parallel()
	chart := postChart()
	with := func(pairs ...string) fstest.MapFS { return merged(chart, repo(pairs...)) }
	tests := []struct {
		files  fstest.MapFS
		fields api.KustomizeSource
		reason render.Reason
		want   string
	}{
		{chart, api.KustomizeSource{Components: []string{"../none"}}, render.ReasonBuild, "app: spec.source.kustomize: \"../none\" is not in the repository"},
		{chart, api.KustomizeSource{Components: []string{"github.com/acme/x"}}, render.ReasonUnsupported, "app: spec.source.kustomize: \"github.com/acme/x\" is a remote resource"},
		{chart, api.KustomizeSource{Patches: []api.KustomizePatch{{Patch: cm("none")}}}, render.ReasonBuild, "app: kustomize: no resource matches strategic merge patch"},
		{with("app/kustomization.yml", "a: b\n"), api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "none.yaml"}}}, render.ReasonBuild, "app: kustomize: "},
		{with("component/kustomization.yaml", "# c\na: [\n"), api.KustomizeSource{Components: []string{"../component"}}, render.ReasonInvalid, "component/kustomization.yaml:"},
		{with("component/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n", "component/extra.yaml", cm("web")), api.KustomizeSource{Components: []string{"../component"}}, render.ReasonBuild, "app: kustomize: "},
		{with("app/chart/templates/twice.yaml", cmOf("web", "  a: b\n")), api.KustomizeSource{NamePrefix: "a-"}, render.ReasonDuplicate, "app/chart/templates/twice.yaml: ConfigMap web is also in app/chart/templates/cm.yaml"},
		{with("app/chart/templates/twice.yaml", "{{ fail \"no\" }}"), api.KustomizeSource{NamePrefix: "a-"}, render.ReasonBuild, "app/chart/templates/twice.yaml:1: "},
	}
	for _, tt := range tests {
		got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "app", Helm: render.Release{Chart: "chart"}, Kustomize: &tt.fields})
		var fault *render.Error
		if !errors.As(err, &fault) || fault.Reason != tt.reason || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), ".slipway-remote") {
			t.Errorf("%+v: %v", tt.fields, err)
		}
		if !got.Touched([]string{"app/chart/values.yaml"}) {
			t.Errorf("%+v: inputs %q", tt.fields, got.Inputs)
		}
	}
}

// Who has no keys leaves out patches of which not even the kind can be read.
func TestSealedPatchesThatAnApplicationAddsAreLeftOut(t *testing.T) {
	t.Parallel()
	const value = "ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]"
	sealed := repo("app/secret.yaml", "apiVersion: "+value+"\nkind: "+value+"\nmetadata:\n  name: "+value+"\n"+mark)
	for name, files := range map[string]fstest.MapFS{
		"chart": postChart(), "kustomization": repo("app/kustomization.yaml", "resources: [cm.yaml]\n", "app/cm.yaml", cm("web")),
	} {
		request := render.Request{FS: merged(files, sealed), Path: "app", Sealed: true, Kustomize: &api.KustomizeSource{NamePrefix: "a-", Patches: []api.KustomizePatch{{Path: "secret.yaml"}}}}
		if name == "chart" {
			request.Helm.Chart = "chart"
		}
		if got, err := render.Render(t.Context(), request); err != nil || find(t, got, "a-web").Name == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
