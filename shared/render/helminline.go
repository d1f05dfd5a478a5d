package render

import (
	"encoding/json"
	"slices"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"
)

// inline puts the values of a kustomization's chart to those of its file, by the very
// functions that kustomize uses. It runs in a child.
func (j *job) inline() error {
	first := j.ValuesFiles[0]
	var values map[string]any
	err := json.Unmarshal(j.Inline, &values)
	if err == nil && j.Merge != "replace" {
		values, err = mergeValues(string(first.Data), values, j.Merge == "override")
	}
	var text []byte
	if err == nil {
		text, err = yaml.Marshal(values)
	}
	if err != nil {
		return valuesFileFault(first.Name, err)
	}
	j.ValuesFiles, j.Inline = slices.Clone(j.ValuesFiles), nil
	j.ValuesFiles[0] = file{first.Name, text}
	return nil
}

// mergeValues merges values into a file's, or with over those of the file into them.
func mergeValues(text string, values map[string]any, over bool) (map[string]any, error) {
	ofFile, err := kyaml.Parse(text)
	if err != nil {
		return nil, err
	}
	inline, err := kyaml.FromMap(values)
	if err != nil {
		return nil, err
	}
	source, into := ofFile, inline
	if over {
		source, into = inline, ofFile
	}
	merged, err := merge2.Merge(source, into, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	return merged.Map()
}
