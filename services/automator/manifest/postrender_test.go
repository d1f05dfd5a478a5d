package manifest_test

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/api"
)

// TestAnImageOfAChartThatIsPostRendered is edited where it counts: in the values, unless
// the post-renderer sets it.
func TestAnImageOfAChartThatIsPostRendered(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"app/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml": "image: ghcr.io/acme/web:1.0.0\n",
		"app/templates/a.yaml":                "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - {name: web, image: {{ .Values.image }}}\n",
		"app/post/web.yaml":                   "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - {name: web, image: ghcr.io/acme/web:1.5.0}\n",
		"app/component/kustomization.yaml":    "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: ghcr.io/acme/web, newTag: 1.5.0}]\n",
		"shared/component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: ghcr.io/acme/web, newTag: 1.5.0}]\n",
	}
	inPlace := api.KustomizePatch{Patch: "- {op: replace, path: /spec/containers/0/image, value: \"ghcr.io/acme/web:1.5.0\"}", Target: &api.KustomizeTarget{Kind: "Pod"}}
	for name, tt := range map[string]struct {
		post  api.KustomizeSource
		edits string // the one file; else it is refused
		why   string
	}{
		"its name":              {api.KustomizeSource{NamePrefix: "a-", CommonLabels: map[string]string{"a": "b"}}, "app/values.yaml", ""},
		"another image":         {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/api", NewTag: "1.5.0"}}}, "app/values.yaml", ""},
		"its tag":               {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/web", NewTag: "1.5.0"}}}, "", "spec.source.kustomize.images[0] (ghcr.io/acme/web): edit it there, or move it into the chart's values"},
		"a patch in place":      {api.KustomizeSource{Patches: []api.KustomizePatch{inPlace}}, "", "ghcr.io/acme/web in Pod web would stay at 1.5.0"},
		"a patch of a file":     {api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "post/web.yaml"}}}, "app/post/web.yaml", ""},
		"both":                  {api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "post/web.yaml"}, inPlace}}, "", "would stay at"},
		"a component":           {api.KustomizeSource{Components: []string{"component"}}, "app/component/kustomization.yaml", ""},
		"a component of others": {api.KustomizeSource{Components: []string{"../shared/component"}}, "", "would stay at"},
		"its name alone":        {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/web", NewName: "mirror.example.com/web"}}}, "app/values.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := "ghcr.io/acme/web"
			for _, i := range tt.post.Images {
				to = cmp.Or(i.NewName, to)
			}
			edited, err := manifest.Folder{FS: tree(files), Path: "app", Kustomize: &tt.post}.Promote(t.Context(), []events.Image{image(t, to+":2.0.0@"+digest)})
			if tt.edits == "" && (!errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), tt.why)) {
				t.Errorf("%q, %v", edited, err)
			}
			if tt.edits != "" && (err != nil || len(edited) != 1 || !strings.Contains(string(edited[tt.edits]), "2.0.0")) {
				t.Errorf("%q, %v", edited, err)
			}
		})
	}
}

// An image to which the Application gives another name alone is edited under its own.
func TestAnImageThatTheApplicationRenamesIsEdited(t *testing.T) {
	t.Parallel()
	mirror := api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/web", NewName: "mirror.example.com/web"}}}
	f := manifest.Folder{FS: tree(map[string]string{"app/pod.yaml": sealedPod}), Path: "app", Kustomize: &mirror}
	edited, err := f.Promote(t.Context(), []events.Image{image(t, "mirror.example.com/web:2.0.0")})
	if err != nil || !strings.Contains(string(edited["app/pod.yaml"]), "image: ghcr.io/acme/web:2.0.0") {
		t.Errorf("%q, %v", edited, err)
	}
}
