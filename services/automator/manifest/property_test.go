package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

// Values in the text of an Argo CD Application are edited as the same values
// in a file are.
func TestValuesInATextAreEditedAsInAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := document(t, "v1.0", rapid.SampledFrom([]string{"", other}).Draw(t, "digest"))
		indent := strings.Repeat(" ", rapid.IntRange(7, 12).Draw(t, "indent"))
		blank := rapid.SampledFrom([]string{"", indent, "  "}).Draw(t, "blank")
		crlf := rapid.Bool().Draw(t, "CRLF")
		wrap := func(values string) string {
			lines := strings.Split(strings.TrimSuffix(values, "\n"), "\n")
			for i, l := range lines {
				if lines[i] = indent + l; l == "" {
					lines[i] = blank
				}
			}
			s := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      values: |\n" + strings.Join(lines, "\n") + "\n      releaseName: ghcr.io/acme/web:v1.0\n"
			if crlf {
				s = strings.ReplaceAll(s, "\n", "\r\n")
			}
			return s
		}
		set := func(data string) string {
			to := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: "2.0.10", Digest: digest}
			out, _, err := manifest.Edit("values.yaml", []byte(data), []events.Image{to}, nil)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, data)
			}
			return string(out)
		}
		if got, want := set(wrap(inner)), wrap(set(inner)); got != want {
			t.Fatalf("got:\n%q\nwant:\n%q", got, want)
		}
	})
}

// A kustomization's entries are set and set back, also from a digest to none and
// from none to one.
func TestEntriesAreSetAndSetBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quote := rapid.SampledFrom([]string{"", "'", "\""})
		sum := rapid.SampledFrom([]string{"", other}).Draw(t, "digest")
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "# c\n---\n", "resources: [x]\n\n"}).Draw(t, "head") + "images:\n")
		indent := strings.Repeat(" ", rapid.IntRange(0, 3).Draw(t, "indent"))
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			q := quote.Draw(t, "quote")
			fields := rapid.SampledFrom([][]string{
				{"name: ghcr.io/acme/web"}, {"name: x", "newName: 'ghcr.io/acme/web'"}, {"newName: \"ghcr.io/acme/web\"", "name: x"},
			}).Draw(t, "name")
			fields = append([]string{}, fields...)
			fields = append(fields, "newTag: "+q+"v1.0"+q)
			flow := rapid.Bool().Draw(t, "flow")
			if sum != "" {
				// A field that goes comes back without quotes.
				fields = append(fields, "digest: "+sum)
			}
			if flow {
				fmt.Fprintf(&b, "%s- {%s} # c\n", indent, strings.Join(fields, ", "))
				continue
			}
			fmt.Fprintf(&b, "%s-  %s\n", indent, strings.Join(fields, "\n"+indent+"   "))
		}
		before := b.String() + rapid.SampledFrom([]string{"", "namePrefix: x-\n"}).Draw(t, "tail")
		if rapid.Bool().Draw(t, "CRLF") {
			before = strings.ReplaceAll(before, "\n", "\r\n")
		}
		if rapid.Bool().Draw(t, "cut") {
			before = strings.TrimRight(before, "\r\n")
		}
		set := func(data, tag, sum string) string {
			to := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: tag, Digest: sum}
			out, _, err := manifest.Edit("kustomization.yaml", []byte(data), []events.Image{to}, nil)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, data)
			}
			return string(out)
		}
		to := rapid.SampledFrom([]string{"", digest}).Draw(t, "to")
		once := set(before, "v2", to)
		if once == before || set(once, "v2", to) != once {
			t.Fatalf("setting twice is not setting once:\n%s", once)
		}
		if back := set(once, "v1.0", sum); back != before {
			t.Fatalf("set back gave:\n%q\nwant:\n%q", back, before)
		}
	})
}
