package manifest_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

// Each text is edited where "OLD" stands, and nowhere else.
func TestByteExactness(t *testing.T) {
	const head = "apiVersion: v1\nkind: Pod\n"
	for name, c := range map[string]string{
		"comments everywhere":    "# ghcr.io/acme/web:v1\n" + head + "spec: # a\n  # b\n  containers: # c\n  # d\n  - name: x # e\n    # f\n    image: ghcr.io/acme/web:OLD # ghcr.io/acme/web:v1\n    # g\n# h",
		"tabs in comments":       head + "spec:\t# a\tb\n  containers:\n  - image:\tghcr.io/acme/web:OLD\t# c\t\n",
		"markers of documents":   "%YAML 1.1\n---\n" + head + "image: ghcr.io/acme/web:OLD\n...\n# x\n---\n" + head + "image: ghcr.io/acme/web:OLD\n...\n",
		"a comment on the line":  "--- # c\n" + head + "image: ghcr.io/acme/web:OLD\n---\n\n\n---\n# nothing\n---\n" + head + "image: ghcr.io/acme/web:OLD\n--- \n",
		"a document on the line": "--- {apiVersion: v1, kind: Pod, image: ghcr.io/acme/web:OLD}\n--- {apiVersion: v1, kind: Pod, image: \"ghcr.io/acme/web:OLD\"}\n",
		"hyphens in a block":     head + "x: |\n  ---\n  image: ghcr.io/acme/web:v1\n  --- a\nimage: ghcr.io/acme/web:OLD\n",
		"properties":             head + "a: {image: &a ghcr.io/acme/web:OLD}\nb: {image: !!str ghcr.io/acme/web:OLD}\nc: {image: &c !!str 'ghcr.io/acme/web:OLD'}\nd: {image: !!str &d # c\n  ghcr.io/acme/web:OLD}\n",
		"complex keys":           head + "? image\n: ghcr.io/acme/web:OLD\n? {a: b}\n: [{image: ghcr.io/acme/web:OLD}]\n",
		"quoted keys":            head + "\"image\" : ghcr.io/acme/web:OLD\nx: {'image': ghcr.io/acme/web:OLD, \"image\":\"ghcr.io/acme/web:OLD\"}\n",
		"blocks":                 head + "a: {}\nb:\n- image: |-  # c\n    ghcr.io/acme/web:OLD\n- image: >2-\n    ghcr.io/acme/web:OLD\n- image: |+\n    ghcr.io/acme/web:OLD\n\n- image: >-\n\n\n",
		"letters of all sizes":   head + "# ü\nx: {\"ü😀ß\": \"ж\", image: ghcr.io/acme/web:OLD, y: \"😀\", z: {image: ghcr.io/acme/web:OLD}} # é\n",
		"Unicode's line ends":    head + "x: \"a\u2028b\"\ny: 'c\u0085 d'\nz: {q: \"\u2029\", image: ghcr.io/acme/web:OLD}\nimage: ghcr.io/acme/web:OLD\n",
		"bytes that aren't text": head + "# \xff\xfe\nx: \"\xe9\" # \xe4\nimage: ghcr.io/acme/web:OLD # \xfc\n",
		"trailing spaces":        head + "image:   ghcr.io/acme/web:OLD   \n   \n  \n",
		"zero indent":            head + "spec:\n  containers:\n  -\n    image:\n\n      # c\n      ghcr.io/acme/web:OLD\n  -   - image: ghcr.io/acme/web:OLD\n",
		"escapes beside":         head + "x: \"\\u00fc\\t\"\nimage: \"ghcr.io/acme/web:OLD\"\ny: 'it''s'\n",
		"a flow over lines":      head + "spec: {containers: [\n  {name: a,   image: ghcr.io/acme/web:OLD},\n{\"image\": \"ghcr.io/acme/web:OLD\" ,},\n]}\n",
		"a script":               head + "x: |\n  #!/bin/sh  \n  docker run ghcr.io/acme/web:v1   \n\n   \n  echo \"\\n\"\nimage: ghcr.io/acme/web:OLD\n",
		"an anchor and aliases":  head + "x: &i ghcr.io/acme/web:OLD\nimage: *i\ny: [{image: *i}, &m {image: *i}, {<<: *m}]\n",
		"all forms of a name":    head + "a: {image: ghcr.io/acme/web:OLD}\nb: {image: GHCR.IO/acme/web:OLD}\nc: {image: ghcr.io/acme/web-x:v1}\nd: {image: x/ghcr.io/acme/web:v1}\n",
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			for _, begin := range []string{"", "\ufeff"} {
				if begin != "" && strings.HasPrefix(c, "%") {
					continue // YAML reads no directive behind a BOM
				}
				t.Run(name, func(t *testing.T) {
					c := begin + strings.ReplaceAll(c, "\n", eol)
					edit(t, "a.yaml", "ghcr.io/acme/web:v2", strings.ReplaceAll(c, "OLD", "v1"), strings.ReplaceAll(c, "OLD", "v2"))
				})
			}
		}
	}
}

// style writes a scalar in one of YAML's ways.
func style(t *rapid.T, indent, s string) string {
	switch rapid.IntRange(0, 6).Draw(t, "style") {
	case 0:
		return "'" + s + "'"
	case 1:
		return "\"" + s + "\""
	case 2:
		return ">-\n" + indent + "    " + s
	case 3:
		return "|-\n" + indent + "   " + s
	case 4:
		return "\n" + indent + "    " + s
	case 5:
		return "!!str " + s
	default:
		return s
	}
}

// document writes a document in which every reference is to one image.
func document(t *rapid.T, tag, digest string) string {
	var b strings.Builder
	whole := "ghcr.io/acme/web:" + tag
	if digest != "" {
		whole += "@" + digest
	}
	noise := rapid.SampledFrom([]string{"", " # ü\t#", "   ", " # {\"$imagepolicy\": \"a:b\"}"})
	line := func(indent, key, value string) {
		v := style(t, indent, value)
		tail := ""
		if !strings.Contains(v, "\n") {
			tail = noise.Draw(t, "tail")
		}
		fmt.Fprintf(&b, "%s%s: %s%s\n", indent, key, v, tail)
	}
	object := rapid.Bool().Draw(t, "object")
	if object {
		b.WriteString(rapid.SampledFrom([]string{"apiVersion: v1\nkind: Pod\n", "kind: Web\n\n# c\napiVersion: example.com/v1\n"}).Draw(t, "head"))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "parts") {
		fmt.Fprintf(&b, "p%d:\n", i)
		indent := strings.Repeat(" ", rapid.IntRange(1, 5).Draw(t, "indent"))
		switch rapid.IntRange(0, 3).Draw(t, "part") {
		case 0:
			line(indent, "image", whole)
		case 1:
			fmt.Fprintf(&b, "%s- {\"a\": b, image: \"%s\"} # c\n%s-   x: |\n%s      image: %s  \n", indent, whole, indent, indent, whole)
		case 2:
			if object {
				line(indent, "image", whole)
				break
			}
			fmt.Fprintf(&b, "%simage:\n", indent)
			line(indent+" ", "repository", "ghcr.io/acme/web")
			line(indent+" ", "tag", tag)
			if digest != "" {
				line(indent+" ", "digest", digest)
			}
		default:
			fmt.Fprintf(&b, "%sx: &a%d '%s'\n%simage: *a%d\n\n", indent, i, whole, indent, i)
		}
	}
	return b.String()
}

// Where all references to an image are equal and tagged, set and set back
// gives the same bytes, and setting twice is setting once.
func TestSetAndSetBackInEveryStyle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tag, sum := rapid.SampledFrom([]string{"v1.0", "1.0.0", "main-abc"}).Draw(t, "tag"), rapid.SampledFrom([]string{"", other}).Draw(t, "digest")
		var docs []string
		for range rapid.IntRange(1, 3).Draw(t, "documents") {
			docs = append(docs, document(t, tag, sum))
		}
		before := strings.Join(docs, rapid.SampledFrom([]string{"---\n", "...\n---\n", "--- # c\n\n#\tx\n"}).Draw(t, "separator"))
		if rapid.Bool().Draw(t, "CRLF") {
			before = strings.ReplaceAll(before, "\n", "\r\n")
		}
		if rapid.Bool().Draw(t, "cut") {
			before = strings.TrimRight(before, "\r\n")
		}
		set := func(data string, to events.Image) string {
			out, _, err := manifest.Edit("values.yaml", []byte(data), []events.Image{to}, nil)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, data)
			}
			return string(out)
		}
		was := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: tag, Digest: sum}
		to := events.Image{Repository: was.Repository, Tag: "2.0.10"}
		if sum != "" {
			to.Digest = digest
		}
		once := set(before, to)
		if once == before || set(once, to) != once {
			t.Fatal("setting twice is not setting once")
		}
		references, err := manifest.Find("values.yaml", []byte(once), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range references {
			if r.Image != to {
				t.Fatalf("line %d stayed %s in:\n%s", r.Line, r.Image, once)
			}
		}
		if back := set(once, was); back != before {
			t.Fatalf("set back gave:\n%q\nwant:\n%q", back, before)
		}
		want := scalars(t, before)
		for i, s := range want {
			switch s {
			case was.String():
				want[i] = to.String()
			case was.Tag:
				want[i] = to.Tag
			case was.Digest:
				want[i] = to.Digest
			}
		}
		if got := scalars(t, once); !slices.Equal(got, want) {
			t.Fatalf("scalars are:\n%q\nwant:\n%q", got, want)
		}
	})
}

// scalars are all scalars of a text's documents, in order.
func scalars(t *rapid.T, data string) (all []string) {
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			all = append(all, n.Value)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	d := yaml.NewDecoder(strings.NewReader(data))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		walk(&doc)
	}
}

// What is hostile is answered, and takes no more time than its size.
func TestHostileFiles(t *testing.T) {
	bomb := "a: &a [x]\n"
	for i := 'b'; i <= 'z'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c]\n", i, i, i-1, i-1, i-1)
	}
	merge := "a: &a {k: v}\n"
	for i := 'b'; i <= 'z'; i++ {
		merge += fmt.Sprintf("%c: &%c {<<: [*%c, *%c, *%c]}\n", i, i, i-1, i-1, i-1)
	}
	big := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: ghcr.io/acme/web:v1\n"
	row := `{"image":"ghcr.io/acme/web:v1","é":"` + strings.Repeat("x", 900) + `"},`
	for name, c := range map[string]struct {
		data string
		ok   bool
	}{
		"10,000 documents":    {strings.Repeat("---\n"+big, 10_000), true},
		"one long line":       {`{"x":[` + strings.Repeat(row, 2_000) + "1]}", true},
		"one long document":   {"x:\n" + strings.Repeat("- image: ghcr.io/acme/web:v1\n  y: z\n", 2_000), true},
		"an alias bomb":       {bomb + "image: ghcr.io/acme/web:v1\n", true},
		"a merge bomb":        {merge + "image: ghcr.io/acme/web:v1\n", true},
		"an endless merge":    {"a: &a {<<: *a, image: ghcr.io/acme/web:v1}\n", true},
		"deep lists":          {"image: ghcr.io/acme/web:v1\nx: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), true},
		"too deep lists":      {"image: ghcr.io/acme/web:v1\nx: " + strings.Repeat("[", 100_000), false},
		"many prefixes":       {"image: ghcr.io/acme/web:v1\n" + strings.Repeat("xRepository: a/web\n", 5_000), true},
		"a large base":        {"a: &a {" + strings.Repeat("k: v, ", 50_000) + "k: v}\n" + strings.Repeat("b: {<<: *a}\n", 50_000) + "image: ghcr.io/acme/web:v1\n", true},
		"many bases":          {"a: &a {k: v}\nx: &x [" + strings.Repeat("*a, ", 50_000) + "]\n" + strings.Repeat("b: {<<: *x}\n", 20_000) + "image: ghcr.io/acme/web:v1\n", true},
		"backwards on a line": {strings.Repeat("{a: ", 1000) + "{x: é}" + strings.Repeat(", repository: ghcr.io/acme/web, tag: v1}", 1000), true},
		"markers on a line":   {"{x: [" + strings.Repeat("a, ", 50_000) + "\"$imagepolicy\"], image: ghcr.io/acme/web:v1}", true},
		"control bytes":       {"image: ghcr.io/acme/web:v1\nx: \x00\x01\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := manifest.Edit("a.yaml", []byte(c.data), []events.Image{image(t, "ghcr.io/acme/web:v2")}, nil)
			want := c.data
			if c.ok {
				want = strings.NewReplacer("web:v1", "web:v2", "tag: v1", "tag: v2").Replace(want)
			}
			if string(out) != want {
				t.Fatalf("edit changed what it should not, or nothing: %v", err)
			}
		})
	}
}

func FuzzFind(f *testing.F) {
	f.Add("a.yaml", pod("    image: ghcr.io/acme/web:1 # c\n"))
	f.Add("values.yaml", "image: {registry: ghcr.io, repository: acme/web, tag: &t '1', digest: }\nx: {<<: *t}\n")
	f.Add("kustomization.yaml", "images:\n- name: ghcr.io/acme/web\n  newTag: v1\n")
	f.Fuzz(func(t *testing.T, name, data string) {
		references, err := manifest.Find(name, []byte(data), nil)
		if err != nil {
			return
		}
		for _, r := range references {
			if r.Line < 1 || r.Line > strings.Count(data, "\n")+strings.Count(data, "\u0085")+strings.Count(data, "\u2028")+strings.Count(data, "\u2029")+1 {
				t.Fatalf("a reference in line %d", r.Line)
			}
		}
	})
}

func FuzzAddEntry(f *testing.F) {
	f.Add("resources: [../base]\nimages:\n  - name: x\n    newTag: 'y'\n")
	f.Add("{\"images\": []}")
	f.Add("images: # c\n...\n")
	target := image(f, "ghcr.io/acme/web:2@"+digest)
	f.Fuzz(func(t *testing.T, data string) {
		out, err := manifest.AddEntry("kustomization.yaml", []byte(data), "ghcr.io/acme/web", target)
		if err != nil {
			return
		}
		references, err := manifest.Find("kustomization.yaml", out, nil)
		if err != nil || !slices.ContainsFunc(references, func(r manifest.Reference) bool { return r.Image == target }) {
			t.Fatalf("the entry isn't there: %v, %v", references, err)
		}
	})
}

func FuzzEditValues(f *testing.F) {
	f.Add("image:\n  registry: ghcr.io\n  repository: acme/web\n  tag: \"1\"\n  digest: \"\"\n")
	f.Add("a: &a {repository: ghcr.io/acme/web, tag: v0}\nb:\n  <<: *a\n  tag: 1.0 # {\"$imagepolicy\": \"a:b:tag\"}\n")
	f.Add("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      values: |\n        image: ghcr.io/acme/web:v1\n      parameters: [{name: image.tag, value: v1}]\n")
	target := []events.Image{image(f, "ghcr.io/acme/web:2@"+digest)}
	f.Fuzz(func(t *testing.T, data string) {
		once, changed, err := manifest.Edit("values.yaml", []byte(data), target, nil)
		if err != nil || len(changed) == 0 {
			if string(once) != data {
				t.Fatalf("it changed without a change: %v", err)
			}
			return
		}
		twice, changed, err := manifest.Edit("values.yaml", once, target, nil)
		if err != nil || len(changed) > 0 || string(twice) != string(once) {
			t.Fatalf("editing twice is not editing once: %v, %v", changed, err)
		}
	})
}

func BenchmarkFindAndEdit(b *testing.B) {
	data := []byte(pod("    image: ghcr.io/acme/web:1 # c\n") + strings.Repeat("  - name: other\n    image: quay.io/acme/other:1.2.3\n    env: [{name: A, value: b}]\n", 7))
	target := []events.Image{image(b, "ghcr.io/acme/web:2")}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, changed, err := manifest.Edit("a.yaml", data, target, nil); err != nil || len(changed) != 1 {
			b.Fatal(changed, err)
		}
	}
}

// The time goes with the size, however it is made up.
func BenchmarkFileOf20MB(b *testing.B) {
	pad := strings.Repeat("x", 1000)
	for name, data := range map[string]string{
		"documents":    strings.Repeat("---\n"+pod("    image: ghcr.io/acme/web:v1\n    x: "+pad+"\n"), 19_000),
		"one document": "x:\n" + strings.Repeat("- image: ghcr.io/acme/web:v1\n  y: "+pad+"\n", 20_000),
		"one line":     `{"x":[` + strings.Repeat(`{"image":"ghcr.io/acme/web:v1","é":"`+pad+`"},`, 20_000) + "1]}",
		"no reference": "x:\n" + strings.Repeat("- image: ghcr.io/acme/api:v1\n  y: "+pad+"\n", 20_000),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, _, err := manifest.Edit("a.yaml", []byte(data), []events.Image{image(b, "ghcr.io/acme/web:v2")}, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFolderOf10000Files(b *testing.B) {
	fsys := fstest.MapFS{}
	for i := range 10_000 {
		fsys[fmt.Sprintf("apps/a%03d/f%02d.yaml", i/100, i%100)] = &fstest.MapFile{Data: []byte(pod(fmt.Sprintf("    image: ghcr.io/acme/web%d:1\n", i)))}
	}
	fsys["apps/a050/web.yaml"] = &fstest.MapFile{Data: []byte(pod("    image: ghcr.io/acme/the-web:1\n"))}
	target := []events.Image{image(b, "ghcr.io/acme/the-web:2")}
	for b.Loop() {
		r, err := manifest.Folder{FS: fsys, Path: "apps"}.Set(b.Context(), target)
		if err != nil || len(r.Files) != 1 || len(r.Problems) > 0 {
			b.Fatal(len(r.Files), r.Problems, err)
		}
	}
}
