package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entryFields name other files or directories that must be in the repository.
var entryFields = []string{"resources", "bases", "components", "generators", "transformers", "validators", "crds", "configurations", "patchesStrategicMerge"}

// helmFields would run the helm command.
var helmFields = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}

// scan refuses what would make kustomize leave the repository: remote
// resources, Helm, plug-ins. It reads kustomizations, and the configurations
// of kustomize's built-in generators and transformers, which may stand in a
// file of any name.
func (r *repository) scan(name string, data []byte) error { return r.scanDocuments(name, data, 0) }

func (r *repository) scanDocuments(name string, data []byte, offset int) error {
	for _, doc := range split(data) {
		if doc.blank() {
			continue
		}
		var node yaml.Node
		if err := yaml.Unmarshal(doc.raw, &node); err != nil {
			if slices.Contains(kustomizationNames, path.Base(name)) {
				return doc.fault(name, err)
			}
			continue // kustomize says what it thinks of it
		}
		s := scanner{in: r, file: name, offset: offset + doc.line - 1, seen: map[*yaml.Node]bool{}}
		if err := s.document(&node); err != nil {
			return err
		}
	}
	return nil
}

type scanner struct {
	in     *repository
	file   string
	offset int                 // lines before the document
	seen   map[*yaml.Node]bool // so that aliases can neither loop nor multiply
}

func (s scanner) document(node *yaml.Node) error {
	if node.Kind != yaml.DocumentNode || len(node.Content) != 1 || node.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	root := node.Content[0]
	apiVersion := ""
	if v := field(root, "apiVersion"); v != nil {
		apiVersion = v.Value
	}
	if apiVersion == "builtin" {
		if err := s.addresses(root); err != nil {
			return err
		}
	}
	if kind := field(root, "kind"); apiVersion == "builtin" && kind != nil && generators[kind.Value] != 0 {
		if err := s.generator(root, generators[kind.Value]); err != nil {
			return err
		}
	}
	if slices.Contains(kustomizationNames, path.Base(s.file)) || strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") {
		return s.kustomization(root)
	}
	return nil
}

func (s scanner) kustomization(root *yaml.Node) error {
	for _, name := range helmFields {
		if n := field(root, name); n != nil {
			return &Error{
				File: s.file, Line: s.line(n), Reason: ReasonUnsupported, Message: name + ": a chart within a kustomization is not supported",
				Help: "make the chart an application of its own, or commit the output of `helm template`",
			}
		}
	}
	for _, name := range entryFields {
		list := field(root, name)
		if list == nil || list.Kind != yaml.SequenceNode {
			continue
		}
		for _, item := range list.Content {
			if err := s.entry(name, resolve(item)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"patches", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator", "openapi"} {
		if n := field(root, name); n != nil {
			if err := s.addresses(n); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"configMapGenerator", "secretGenerator"} {
		if list := field(root, name); list != nil {
			for _, g := range list.Content {
				if err := s.generator(resolve(g), generators[name]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// entry checks one path of a list. What has a line break is YAML in place.
func (s scanner) entry(list string, item *yaml.Node) error {
	if item.Kind != yaml.ScalarNode {
		return nil
	}
	if strings.Contains(item.Value, "\n") {
		return s.in.scanDocuments(s.file, []byte(item.Value), s.line(item))
	}
	if isRemote(item.Value) {
		return remoteError(s.file, s.line(item), item.Value)
	}
	target := path.Join(path.Dir(s.file), item.Value)
	if s.in.src.stat(target) == nil && list != "patchesStrategicMerge" {
		s.in.looked[target] = true
		return missingError(s.file, s.line(item), item.Value)
	}
	s.name(item.Value)
	return nil
}

// addresses refuses paths that are addresses, wherever they stand below.
func (s scanner) addresses(node *yaml.Node) error {
	node = resolve(node)
	if s.seen[node] {
		return nil
	}
	s.seen[node] = true
	if node.Kind != yaml.MappingNode {
		for _, n := range node.Content {
			if err := s.addresses(n); err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, resolve(node.Content[i+1])
		if key == "patch" || key == "literals" {
			continue // content, not paths
		}
		for _, scalar := range scalars(value) {
			_, target, named := strings.Cut(scalar.Value, "=") // files: name=path
			if !named {
				target = scalar.Value
			}
			if strings.HasPrefix(strings.ToLower(target), "http://") || strings.HasPrefix(strings.ToLower(target), "https://") {
				return remoteError(s.file, s.line(scalar), target)
			}
			s.name(target)
		}
		if err := s.addresses(value); err != nil {
			return err
		}
	}
	return nil
}

// name notes what may be the name of a file or directory.
func (s scanner) name(entry string) {
	target := path.Join(path.Dir(s.file), entry)
	if entry != "" && len(entry) < maxName && target != "." && s.in.src.stat(target) != nil {
		s.in.named = append(s.in.named, target)
	}
}

func (s scanner) line(n *yaml.Node) int { return s.offset + n.Line }

// scalars are a scalar itself, or those of a list.
func scalars(n *yaml.Node) []*yaml.Node {
	switch n.Kind {
	case yaml.ScalarNode:
		return []*yaml.Node{n}
	case yaml.SequenceNode:
		var found []*yaml.Node
		for _, item := range n.Content {
			if item = resolve(item); item.Kind == yaml.ScalarNode {
				found = append(found, item)
			}
		}
		return found
	}
	return nil
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func field(m *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return resolve(m.Content[i+1])
		}
	}
	return nil
}

// use is what a file of a generator becomes.
type use byte

const (
	forConfig use = 1 << iota // a ConfigMap: no place for what is encrypted
	forSecret
)

// generators are fields of a kustomization, and kinds of kustomize's built-in
// generators.
var generators = map[string]use{
	"configMapGenerator": forConfig, "ConfigMapGenerator": forConfig, "secretGenerator": forSecret, "SecretGenerator": forSecret,
}

// generator notes what the files of a generator become. One that is encrypted
// can be only one of both.
func (s scanner) generator(g *yaml.Node, becomes use) error {
	if g.Kind != yaml.MappingNode {
		return nil
	}
	for _, name := range []string{"files", "envs", "env"} {
		list := field(g, name)
		if list == nil {
			continue
		}
		for _, entry := range scalars(list) {
			_, target, named := strings.Cut(entry.Value, "=")
			if !named || name != "files" {
				target = entry.Value
			}
			at := path.Join(path.Dir(s.file), target)
			s.in.uses[at] |= becomes
			_, decrypted := s.in.src.plain[at]
			if s.in.uses[at] != forConfig && s.in.uses[at] != forSecret && s.in.encrypted(at) || becomes == forConfig && decrypted {
				return &Error{
					File: s.file, Line: s.line(entry), Reason: ReasonUnsupported, Message: fmt.Sprintf("%q is encrypted with SOPS, and is to become part of a ConfigMap and of something else", target),
					Help: "keep an encrypted copy for each",
				}
			}
		}
	}
	return nil
}

// encrypted says whether a file is.
func (r *repository) encrypted(name string) bool {
	if !r.src.isFile(name) {
		return false
	}
	data, err := r.src.readRaw(name)
	return err == nil && FormatOf(name, data) != ""
}
