package render_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/render"
)

// loops are lists within lists: more turns than a life has.
const loops = `{{ define "l" }}{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}{{ end }}{{ end }}{{ end }}`

func TestATemplateThatDoesHarmHarmsItselfAlone(t *testing.T) {
	t.Parallel()
	const any = ""
	tests := map[string]struct {
		template string
		reason   render.Reason // any: which one depends on the machine
		want     string
	}{
		"a loop":                {loops + `{{ include "l" . }}`, render.ReasonLimit, "it took longer than 2s"},
		"memory in one go":      {`{{ repeat 2000000000 "x" | quote }}`, render.ReasonLimit, "more than 512 MiB of memory"},
		"memory by and by":      {`{{ $l := list "x" }}{{ range until 64 }}{{ $l = concat $l $l }}{{ end }}`, render.ReasonLimit, "look for"},
		"a long list":           {`{{ until 2000000000 }}`, render.ReasonLimit, "look for"},
		"a large output":        {`{{ range until 30 }}` + strings.Repeat("# a line that is long enough to be one\n", 1000) + `{{ end }}`, render.ReasonTooLarge, "the limit of 1000000 bytes"},
		"a call without an end": {`{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, render.ReasonBuild, "nested reference"},
		"a template of itself":  {`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, any, ""},
		"tpl without an end":    {`{{ tpl "{{ tpl .Values.t . }}" . }}`, any, ""},
		"a panic":               {`{{ slice "abc" 5 1 }}`, render.ReasonBuild, "web/templates/a.yaml:1"},
		"a long pattern":        {`{{ regexMatch (repeat 1000 "(a*)*") (repeat 100000 "a") }}`, any, ""},
	}
	var all sync.WaitGroup
	for name, tt := range tests {
		all.Go(func() {
			files := repo("web/Chart.yaml", chartYAML, "web/values.yaml", "t: \"{{ tpl .Values.t . }}\"\n", "web/templates/a.yaml", tt.template)
			limits := render.Limits{Time: 2 * time.Second, TotalBytes: 1_000_000}
			if tt.reason != any && name != "a loop" {
				limits.Time = 0 // another limit is to be met first, on a slow machine too
			}
			_, err := render.Render(t.Context(), render.Request{FS: files, Path: "web", Limits: limits})
			var fault *render.Error
			switch {
			case !errors.As(err, &fault):
				t.Errorf("%s: %v", name, err)
			case tt.reason != any && fault.Reason != tt.reason, !strings.Contains(err.Error(), tt.want), len(err.Error()) > 3000:
				t.Errorf("%s: %s: %v, want %s with %q", name, fault.Reason, err, tt.reason, tt.want)
			case fault.Reason == render.ReasonLimit && (fault.File != "web/Chart.yaml" || fault.Help == ""):
				t.Errorf("%s: %v has no place or no help", name, err)
			}
		})
		all.Go(func() {
			name := fmt.Sprintf("good-%d", len(name))
			files := repo("web/Chart.yaml", chartYAML, "web/templates/a.yaml", cmOf(name, "  a: b\n"))
			got, err := render.Render(t.Context(), render.Request{FS: files, Path: "web"})
			if err != nil || len(got.Objects) != 1 || got.Objects[0].Name != name {
				t.Errorf("beside it: %d objects, %v", len(got.Objects), err)
			}
		})
	}
	all.Wait()
}
