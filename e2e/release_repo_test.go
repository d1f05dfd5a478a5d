package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// slot is a place for a reference: of what folder, and to which image repository. It may be
// written in several lines.
type slot struct{ owner, image string }

// ref is what stands there.
type ref struct{ tag, digest string }

// releaseApp is an Application of a random repo whose images move.
type releaseApp struct {
	Name, Dir string
	Folder    string // names the folder where another application has it, too, and the same rules; else empty
	Layout    string // plain, twins, kustomize, overlay, values, digests
	Images    []string
	Note      int // what people change
	Mode      string
	Wide      bool // more versions are wanted
	gates
	Suspended bool
	GoesBack  bool // what fails is rolled back
	BackAsked bool // a rollback is a pull request
}

// owner is whose folder has the references.
func (a releaseApp) owner() string {
	if a.Folder != "" {
		return a.Folder
	}
	return a.Name
}

func (a releaseApp) slots() (all []slot) {
	for _, image := range a.Images {
		all = append(all, slot{a.owner(), image})
	}
	return all
}

// releaseRepo is what a random config repo holds, but for the references.
type releaseRepo struct {
	Next   int // of names
	Apps   []releaseApp
	Broken bool // the rules can't be read
}

func (r *releaseRepo) clone() *releaseRepo {
	data, err := json.Marshal(r)
	c := &releaseRepo{}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

func (r *releaseRepo) name(kind string) string {
	r.Next++
	return kind + "-" + strconv.Itoa(r.Next)
}

// slots are all places, each once.
func (r *releaseRepo) slots() []slot {
	all := map[slot]bool{}
	for _, a := range r.Apps {
		for _, s := range a.slots() {
			all[s] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b slot) int { return strings.Compare(a.owner+" "+a.image, b.owner+" "+b.image) })
}

// templates are the files, with a mark wherever a reference or a part of one stands.
func (r *releaseRepo) templates(registry, repository string) map[string]string {
	files := map[string]string{"policies/rules.yaml": r.rules(registry)}
	for _, a := range r.Apps {
		files["clusters/local/"+a.Name+".yaml"] = a.document(repository)
		maps.Copy(files, a.files(registry))
	}
	return files
}

func (r *releaseRepo) rules(registry string) string {
	var b strings.Builder
	b.WriteString("apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: rules}\nspec:\n  rules:\n")
	together := map[string][]string{}
	for _, a := range r.Apps {
		if a.Mode == "batch" {
			together[a.Images[0]] = append(together[a.Images[0]], "local/shop/"+a.Name)
			continue
		}
		for _, image := range a.Images {
			fmt.Fprintf(&b, "  - applications: [local/shop/%s]\n    images: [%s/%s]\n    mode: %s\n    approvals: {count: 1, from: [maria]}\n%s",
				a.Name, registry, image, a.Mode, a.yaml(streamOf(image).track(a.Wide)))
			if a.BackAsked {
				b.WriteString("    rollback: pullRequest\n")
			}
		}
	}
	for _, image := range slices.Sorted(maps.Keys(together)) {
		fmt.Fprintf(&b, "---\napiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: %s}\nspec:\n  rules:\n  - applications: [%s]\n    images: [%s/%s]\n    mode: pullRequest\n    pullRequests: batch\n    track: %s\n",
			batchPolicy(image), strings.Join(together[image], ", "), registry, image, streamOf(image).track(false))
	}
	if r.Broken {
		return strings.ReplaceAll(b.String()+"---\n", "---\n", "  - {applications: [\n---\n")
	}
	return b.String()
}

// batchPolicy names the rules by which all applications of an image have one pull request.
func batchPolicy(image string) string { return "batch-" + strings.TrimPrefix(image, "team/") }

// works is the application with what its rule wants, where that is a rule of many.
func (a releaseApp) works() releaseApp {
	if a.Mode == "batch" {
		a.Wide, a.gates = false, gates{}
	}
	return a
}

func (a releaseApp) document(repository string) string {
	annotations, helm, failure := "", "", ""
	if a.GoesBack {
		failure = "  onFailure: rollback\n"
	}
	if a.Suspended {
		annotations = ", annotations: {slipway.dev/suspend: not now}"
	}
	if a.Layout == "values" || a.Layout == "digests" {
		helm = "\n    helm: {chart: ../../charts/" + a.Name + ", valuesFiles: [values.yaml]}"
	}
	return fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %s, namespace: shop%s}
spec:
  source:
    repository: %q
    branch: main
    path: %s%s
  destination: {namespace: shop, serviceAccount: deployer}
%s`, a.Name, annotations, repository, a.Dir, helm, failure)
}

func (a releaseApp) files(registry string) map[string]string {
	first := a.Images[0]
	switch a.Layout {
	case "kustomize":
		var entries, images strings.Builder
		for i, image := range a.Images {
			fmt.Fprintf(&entries, "- name: image-%d # %d\n  newName: %s/%s\n  newTag: \"%s\"\n  digest: %s\n", i, a.Note, registry, image, a.mark("tag", image), a.mark("digest", image))
			fmt.Fprintf(&images, "      - {name: c%d, image: image-%d}\n", i, i)
		}
		return map[string]string{
			a.Dir + "/kustomization.yaml": "resources: [deployment.yaml]\nimages:\n" + entries.String(),
			a.Dir + "/deployment.yaml":    a.deployment(images.String()),
		}
	case "overlay": // what it inherits is another folder's, and stays
		return map[string]string{
			a.Dir + "/kustomization.yaml":               "resources: [../../bases/" + a.Name + "]\nlabels:\n- pairs: {note: note-" + strconv.Itoa(a.Note) + "}\n" + a.mark("entry", registry+"/"+first),
			"bases/" + a.Name + "/kustomization.yaml":   "resources: [deployment.yaml]\n",
			"bases/" + a.Name + "/deployment.yaml":      releaseApp{Name: a.Name}.deployment("      - {name: main, image: " + registry + "/" + first + ":" + streamOf(first).first() + "}\n"),
			"bases/" + a.Name + "/settings/unused.yaml": "# " + registry + "/" + first + ":0.0.1 is long gone\n",
		}
	case "values", "digests":
		field, image := "", `{{ .Values.web.image.repository }}:{{ .Values.web.image.tag }}`
		value := a.mark("joined", first)
		if a.Layout == "digests" {
			value, field, image = a.mark("tag", first), "\n    digest: "+a.mark("digest", first), image+`@{{ .Values.web.image.digest }}`
		}
		return map[string]string{
			a.Dir + "/values.yaml":                            fmt.Sprintf("note: %d\nweb:\n  # which one runs\n  image:\n    repository: %s/%s\n    tag: \"%s\"%s\n  replicas: 1\n", a.Note, registry, first, value, field),
			"charts/" + a.Name + "/Chart.yaml":                "apiVersion: v2\nname: " + a.Name + "\nversion: 0.1.0\n",
			"charts/" + a.Name + "/values.yaml":               "web: {image: {repository: " + registry + "/" + first + ", tag: \"\", digest: \"\"}}\n",
			"charts/" + a.Name + "/templates/deployment.yaml": a.deployment("      - {name: main, image: \"" + image + "\"}\n"),
		}
	default:
		return map[string]string{a.Dir + "/deployment.yaml": releaseApp{Name: a.owner(), Note: a.Note}.deployment(a.containers(registry))}
	}
}

// containers name their images as a whole, in ways that people write.
func (a releaseApp) containers(registry string) string {
	var b strings.Builder
	for i, image := range a.Images {
		switch whole := registry + "/" + image + ":" + a.mark("whole", image); i {
		case 0:
			fmt.Fprintf(&b, "      - name: c0\n        image: %s # Slipway moves this\n", whole)
		default:
			fmt.Fprintf(&b, "      - {name: c%d, image: '%s', args: [--image=%s/%s:none]}\n", i, whole, registry, image)
		}
	}
	return b.String()
}

func (a releaseApp) deployment(containers string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
%[3]s`, a.Name, a.Note, containers)
}

// mark stands for a part of a reference: the whole behind its repository, where the
// digest need not be; tag and digest; one of them; or a kustomization's images, which need
// not be there where what is inherited says the same.
func (a releaseApp) mark(form, image string) string {
	return "<<" + form + " " + a.owner() + " " + image + ">>"
}

var markPattern = regexp.MustCompile(`<<(\w+) (\S+) (\S+)>>`)

// fill puts references in the places of marks.
func fill(template string, refs map[slot]ref) string {
	return markPattern.ReplaceAllStringFunc(template, func(mark string) string {
		m := markPattern.FindStringSubmatch(mark)
		r := refs[slot{m[2], imageIn(m[3])}]
		switch m[1] {
		case "entry":
			if r.digest == "" {
				return ""
			}
			return fmt.Sprintf("images:\n- name: %s\n  newTag: \"%s\"\n  digest: %s\n", m[3], r.tag, r.digest)
		case "tag":
			return r.tag
		case "digest":
			return r.digest
		default:
			return strings.TrimSuffix(r.tag+"@"+r.digest, "@")
		}
	})
}

// imageIn is the repository of an image in a mark, which may have its registry before it.
func imageIn(name string) string {
	if i := strings.Index(name, "team/"); i > 0 {
		return name[i:]
	}
	return name
}

// marked is what may stand for each form of a mark.
var marked = map[string]string{
	"tag":    `(?P<tag>[\w.-]+)`,
	"digest": `(?P<digest>sha256:[0-9a-f]{64})`,
	"joined": `(?P<tag>[\w.-]+)@(?P<digest>sha256:[0-9a-f]{64})`,
	"entry":  `(?:images:\n- name: [\w.:/-]+\n  newTag: "?(?P<tag>[\w.-]+?)"?\n(?:  digest: (?P<digest>sha256:[0-9a-f]{64})\n)?)?`,
	"whole":  `(?P<tag>[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?`,
}

// read finds what stands in the places of a template's marks. Everything else has to be
// as it was written, to the byte, and what is written twice the same.
func readRefs(template, text string, into map[slot]ref) error {
	var pattern strings.Builder
	var slots []slot
	at := 0
	for _, m := range markPattern.FindAllStringSubmatchIndex(template, -1) {
		pattern.WriteString(regexp.QuoteMeta(template[at:m[0]]))
		pattern.WriteString(marked[template[m[2]:m[3]]])
		for range strings.Count(marked[template[m[2]:m[3]]], "(?P<") {
			slots = append(slots, slot{template[m[4]:m[5]], imageIn(template[m[6]:m[7]])})
		}
		at = m[1]
	}
	pattern.WriteString(regexp.QuoteMeta(template[at:]))
	re := regexp.MustCompile(`\A` + pattern.String() + `\z`)
	found := re.FindStringSubmatch(text)
	if found == nil {
		return fmt.Errorf("it is not what people wrote, but for its references:\n%s\nwas written as\n%s", text, template)
	}
	names := re.SubexpNames()
	for i, value := range found[1:] {
		r := into[slots[i]]
		is := &r.tag
		if names[i+1] == "digest" {
			is = &r.digest
		}
		if *is != "" && *is != value {
			return fmt.Errorf("%v is %s in one place and %s in another", slots[i], *is, value)
		}
		*is = value
		if r.tag == "" {
			r.tag = streamOf(slots[i].image).first() // it is inherited
		}
		into[slots[i]] = r
	}
	return nil
}
