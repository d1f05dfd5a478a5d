package migrate

import (
	"bytes"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/services/slipway/migrate/appset"
)

// set gives the Applications that an ApplicationSet makes, as if they stood in
// its file.
func (a *argo) set(s *source) []*source {
	object, _ := (value{s: s, node: s.root}).tree().(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		return nil
	}
	metadata["namespace"] = s.namespace
	for _, field := range []string{"generators", "template", "templatePatch", "goTemplate", "goTemplateOptions"} {
		s.at("spec", field).take()
	}
	s.at("spec", "syncPolicy", "preserveResourcesOnDeletion").take()
	applications, told, err := appset.Expand(object, appset.Options{FS: a.FS, Own: a.isOwn})
	for _, t := range told {
		kind := Different
		if t.Missing {
			kind = Missing
		}
		s.closest(t.Path).note(kind, t.What, t.Do)
	}
	if err != nil {
		s.at("spec").note(Wrong, err.Error(), "mend it there first; no Application is written of it")
		return nil
	}
	if len(applications) == 0 && len(told) == 0 {
		s.at("spec", "generators").note(Missing, "they make no Application", "write each Application, if there shall be some")
	}
	s.at().note(Different, "a set of applications is written as each of them", "commit one more where a folder or a file comes that it would have found")
	var all []*source
	for _, application := range applications {
		all = append(all, a.made(s, application)...)
	}
	return all
}

// made is a document that another one makes.
func (a *argo) made(of *source, object map[string]any) []*source {
	data, err := yaml.Marshal(object)
	if err != nil {
		of.at("spec", "template").note(Wrong, err.Error(), "mend it there first")
		return nil
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil || len(doc.Content) != 1 {
		return nil
	}
	all := sourcesOf(of.file, doc.Content[0], argoGroups, of.notes)
	for _, s := range all {
		s.origin, s.within = of, "spec.template"
	}
	return all
}

// isOwn says whether a repository is the one that is read.
func (a *argo) isOwn(repository string) bool {
	own := a.own()
	return own == "" || sameRepository(repository, own)
}
