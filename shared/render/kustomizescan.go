package render

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entryFields name other files or directories that must be in the repository.
var entryFields = []string{"resources", "bases", "components", "generators", "transformers", "validators", "crds", "configurations", "patchesStrategicMerge"}

// folderFields name folders, too.
var folderFields = []string{"resources", "bases", "components", "generators", "transformers", "validators"}

// scan finds what would make kustomize leave the repository: remote resources,
// which are brought where that is allowed, charts, which are rendered, and plug-ins. It gives the file as
// kustomize is to see it. It reads kustomizations, and the configurations
// of kustomize's built-in generators and transformers, which may stand in a
// file of any name.
func (r *repository) scan(name string, data []byte) ([]byte, error) {
	dir, listed := r.roots[name]
	if !listed {
		dir = path.Dir(name)
	}
	return r.scanDocuments(name, data, scanner{in: r, file: name, dir: dir})
}

func (r *repository) scanDocuments(name string, data []byte, of scanner) ([]byte, error) {
	var written [][]byte
	changed := false
	for _, doc := range split(data) {
		written = append(written, doc.raw)
		if doc.blank() {
			continue
		}
		var node yaml.Node
		if err := yaml.Unmarshal(doc.raw, &node); err != nil {
			if slices.Contains(kustomizationNames, path.Base(name)) {
				return nil, doc.fault(name, err)
			}
			continue // kustomize says what it thinks of it
		}
		s := of
		s.offset, s.seen, s.changed = of.offset+doc.line-1, map[*yaml.Node]bool{}, new(bool)
		if err := s.document(&node); err != nil {
			return nil, err
		}
		if !*s.changed {
			continue
		}
		text, err := yaml.Marshal(&node)
		if err != nil {
			return nil, doc.fault(name, err)
		}
		written[len(written)-1], changed = text, true
	}
	if !changed {
		return data, nil
	}
	return bytes.Join(written, []byte("\n---\n")), nil
}

type scanner struct {
	in     *repository
	file   string
	dir    string // from which its paths go
	offset int    // lines before the document
	// namespace is that of the kustomization, or else of what takes it in.
	namespace string
	inherits  bool // it is that of what takes it in
	inline    bool // it stands within another file, which stays as it is
	// changed says that a node has another value than in the file.
	changed *bool
	seen    map[*yaml.Node]bool // so that aliases can neither loop nor multiply
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

// inNamespace finds the namespace of a kustomization.
func (s *scanner) inNamespace(root *yaml.Node) {
	own := field(root, "namespace")
	switch {
	case s.in.forced != "" && s.file == s.in.forcedOn:
		s.namespace = s.in.forced
	case own != nil && own.Value != "":
		s.namespace = own.Value
	default:
		s.inherits = true
		if all := s.in.family(s.dir).namespaces; len(all) > 0 {
			s.namespace = all[0]
		}
	}
}

func (s scanner) kustomization(root *yaml.Node) error {
	s.inNamespace(root)
	if n := field(root, "helmChartInflationGenerator"); n != nil {
		return s.chartError(n, ReasonUnsupported, "helmChartInflationGenerator is not supported", "write helmCharts and helmGlobals, as `kustomize edit fix` does")
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
	return s.charts(root)
}

// entry checks one path of a list. What has a line break is YAML in place.
func (s scanner) entry(list string, item *yaml.Node) error {
	if item.Kind != yaml.ScalarNode {
		return nil
	}
	if strings.Contains(item.Value, "\n") {
		_, err := s.in.scanDocuments(s.file, []byte(item.Value), scanner{in: s.in, file: s.file, dir: s.dir, offset: s.line(item), inline: true})
		return err
	}
	if isRemote(item.Value) {
		return s.remote(item, "", item.Value, !slices.Contains(folderFields, list))
	}
	target := path.Join(s.dir, item.Value)
	if mount := mountOf(s.file); mount != "" && target != mount && !strings.HasPrefix(target, mount+"/") && s.in.written[target] == nil && mountOf(target) == "" {
		return &Error{
			File: s.file, Line: s.line(item), Reason: ReasonUnsupported, Message: fmt.Sprintf("%q leaves its repository", item.Value),
			Help: "what comes from another repository can't name what lies in this one",
		}
	}
	if s.in.written[target] != nil {
		return nil
	}
	if s.in.src.stat(target) == nil && list != "patchesStrategicMerge" {
		s.in.looked[target] = true
		return missingError(s.file, s.line(item), item.Value)
	}
	s.in.roots[target] = s.dir
	if err := s.below(item, target); err != nil {
		return err
	}
	s.name(item.Value)
	return nil
}

// remote has an address brought, and the node name the path where it is seen. It
// stands in the node behind before.
func (s scanner) remote(item *yaml.Node, before, address string, files bool) error {
	if s.inline {
		return remoteError(s.file, s.line(item), address, "have this in a file of its own and name that")
	}
	local, err := s.in.bring(s, s.line(item), address, files)
	if err != nil {
		return err
	}
	item.Value, *s.changed = before+local, true
	return s.below(item, path.Join(s.dir, local))
}

// addresses finds paths that are addresses, wherever they stand below.
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
			before, target, named := strings.Cut(scalar.Value, "=") // files: name=path
			if before += "="; !named || isHTTP(scalar.Value) {
				before, target = "", scalar.Value
			}
			if isHTTP(target) {
				if err := s.remote(scalar, before, target, true); err != nil {
					return err
				}
				continue
			}
			s.name(target)
		}
		if err := s.addresses(value); err != nil {
			return err
		}
	}
	return nil
}

func isHTTP(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// name notes what may be the name of a file or directory.
func (s scanner) name(entry string) {
	target := path.Join(s.dir, entry)
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
			at := path.Join(s.dir, target)
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
