package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ProjectKind and ProjectResource are what Kubernetes calls a [Project].
const (
	ProjectKind     = "Project"
	ProjectResource = "projects"
)

// Project says what the Applications of some namespaces may do. A namespace
// that no Project governs is held by the rights of its accounts alone; one that
// several govern may do what one of them allows.
type Project struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Metadata   Metadata    `json:"metadata"`
	Spec       ProjectSpec `json:"spec"`
}

// ProjectSpec is what a user writes. Names are matched by [Pattern]s.
type ProjectSpec struct {
	// Namespaces are those whose Applications it governs.
	Namespaces []string `json:"namespaces"`
	// Repositories are names such as git.example.com/acme/**, without scheme
	// and .git.
	Repositories []string `json:"repositories"`
	// Destinations are where objects may go.
	Destinations []ProjectDestination `json:"destinations"`
	// Kinds are what may be applied; without it every kind.
	Kinds ProjectKinds `json:"kinds,omitzero"`
}

// ProjectDestination is a set of namespaces in a set of clusters. Objects that
// lie in no namespace need the cluster alone, and a Namespace is its own.
type ProjectDestination struct {
	Cluster    string   `json:"cluster"`
	Namespaces []string `json:"namespaces"`
}

// ProjectKinds are kinds, each written Kind, Kind.group, *.group or *. What is
// denied is denied, whatever is allowed; an empty Allow allows all.
type ProjectKinds struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

// ProjectRules is a Project ready to be asked.
type ProjectRules struct {
	Name                     string
	namespaces, repositories Patterns
	destinations             []struct{ cluster, namespaces Patterns }
	kinds                    ProjectKinds
}

// Validate wants every list that must not be empty, and patterns that can be
// read.
func (p *Project) Validate() error {
	_, err := p.Rules()
	return err
}

// Rules reads the patterns.
func (p *Project) Rules() (*ProjectRules, error) {
	r := &ProjectRules{Name: p.Metadata.Name, kinds: p.Spec.Kinds}
	var faults []error
	list := func(at string, texts []string) Patterns {
		if len(texts) == 0 {
			faults = append(faults, fmt.Errorf("%s is empty, and would allow nothing: name some, or write [\"**\"] for all", at))
		}
		all, err := ParsePatterns(texts)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", at, err))
		}
		return all
	}
	if p.Metadata.Namespace != "" {
		faults = append(faults, errors.New("metadata.namespace: a Project is of the whole cluster: take it out"))
	}
	r.namespaces = list("spec.namespaces", p.Spec.Namespaces)
	r.repositories = list("spec.repositories", p.Spec.Repositories)
	for i, text := range p.Spec.Repositories {
		if strings.Contains(text, "://") || strings.HasSuffix(text, ".git") {
			faults = append(faults, fmt.Errorf("spec.repositories[%d]: %q: write it without scheme and .git, such as git.example.com/acme/**", i, text))
		}
	}
	if len(p.Spec.Destinations) == 0 {
		faults = append(faults, errors.New("spec.destinations is empty, and would allow nothing: write [{cluster: \"*\", namespaces: [\"*\"]}] for all"))
	}
	for i, d := range p.Spec.Destinations {
		at := fmt.Sprintf("spec.destinations[%d]", i)
		r.destinations = append(r.destinations, struct{ cluster, namespaces Patterns }{
			list(at+".cluster", nonEmpty(d.Cluster)), list(at+".namespaces", d.Namespaces),
		})
	}
	faults = append(faults, validateKinds("spec.kinds.allow", p.Spec.Kinds.Allow), validateKinds("spec.kinds.deny", p.Spec.Kinds.Deny))
	return r, errors.Join(faults...)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func validateKinds(at string, entries []string) error {
	var faults []error
	for i, e := range entries {
		kind, group, dotted := strings.Cut(e, ".")
		switch {
		case kind == "" || dotted && group == "" || strings.Contains(e, "/") || strings.Contains(e, " "):
			faults = append(faults, fmt.Errorf("%s[%d]: %q is not Kind, Kind.group, *.group or *", at, i, e))
		case kind != "*" && strings.Contains(kind, "*") || strings.Contains(group, "*"):
			faults = append(faults, fmt.Errorf("%s[%d]: %q: * stands for a whole kind only", at, i, e))
		case kind != "*" && (kind[0] < 'A' || kind[0] > 'Z'):
			faults = append(faults, fmt.Errorf("%s[%d]: %q: a kind begins with a capital, such as ClusterRole", at, i, e))
		}
	}
	return errors.Join(faults...)
}

// Governs says whether it is for the Applications of a namespace.
func (r *ProjectRules) Governs(namespace string) bool { return r.namespaces.Match(namespace) }

// Repository says whether manifests may come from a repository, by its name.
func (r *ProjectRules) Repository(name string) bool { return r.repositories.Match(name) }

// Destination says whether objects may go into a namespace of a cluster;
// without a namespace, whether they may go into the cluster at all.
func (r *ProjectRules) Destination(cluster, namespace string) bool {
	for _, d := range r.destinations {
		if d.cluster.Match(cluster) && (namespace == "" || d.namespaces.Match(namespace)) {
			return true
		}
	}
	return false
}

// KindAllowed says whether a kind may be applied; why is the list that says
// no.
func (r *ProjectRules) KindAllowed(group, kind string) (why string, ok bool) {
	is := func(entry string) bool {
		k, g, dotted := strings.Cut(entry, ".")
		return (k == "*" || k == kind) && (!dotted || g == group)
	}
	switch {
	case slices.ContainsFunc(r.kinds.Deny, is):
		return "spec.kinds.deny", false
	case len(r.kinds.Allow) > 0 && !slices.ContainsFunc(r.kinds.Allow, is):
		return "spec.kinds.allow", false
	}
	return "", true
}
