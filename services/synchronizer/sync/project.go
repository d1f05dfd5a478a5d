package sync

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
)

func projectNames(all []*project) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
		if p.fault != nil {
			names[i] += " (which can't be read: " + p.fault.Error() + ")"
		}
	}
	if len(names) == 1 {
		return "Project " + names[0]
	}
	return "none of the Projects " + strings.Join(names, " and ")
}

// maxForbidden is how many objects a refusal names.
const maxForbidden = 10

// forbidden says what of a run no Project of its namespace allows: each object
// needs one that allows its repository, destination and kind. Nothing of the
// run may be sent then.
func (b *Brain) forbidden(n *run) error {
	governing := b.projects.governing(n.app.name.Namespace)
	if len(governing) == 0 {
		return nil
	}
	p, err := b.repos.place(n.app.name.Namespace, n.spec.Source)
	if err != nil {
		return err
	}
	var faults []string
	for _, item := range n.items {
		if why := b.objection(governing, p.name, n, item); why != "" {
			faults = append(faults, fmt.Sprintf("%s: %s: %s", item.Where, item, why))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	more := ""
	if len(faults) > maxForbidden {
		more = fmt.Sprintf("\nand %d more", len(faults)-maxForbidden)
		faults = faults[:maxForbidden]
	}
	return fmt.Errorf("nothing is applied, since a Project forbids a part of it: take that out, or have the Project allow it:\n%s%s", strings.Join(faults, "\n"), more)
}

// objection is why no Project allows an object; empty where one does.
// The run says where it goes.
func (b *Brain) objection(governing []*project, from events.GitRepository, n *run, item *apply.Item) string {
	chart, remote := n.spec.Source.Helm.Remote()
	cluster := n.cluster.name
	namespace := item.Namespace
	switch {
	case item.Kind.Group == "" && item.Kind.Kind == "Namespace":
		namespace = item.Name // it is its own
	case namespace == "" && item.Resource.Resource == "":
		namespace = n.target() // its kind comes with it, and where it goes isn't known yet
	}
	var all []string
	for _, p := range governing {
		list, kind := "", false
		if p.fault == nil {
			list, kind = p.KindAllowed(item.Kind.Group, item.Kind.Kind)
		}
		switch {
		case p.fault != nil:
			all = append(all, fmt.Sprintf("Project %s can't be read: %v", p.Name, p.fault))
		case !p.Repository(string(from)):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the repository %s (spec.repositories)", p.Name, from))
		case remote && !b.allowsChart(p, chart):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the chart repository %s (spec.repositories)", p.Name, chart.Repository))
		case !p.Destination(cluster, ""):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the cluster %s (spec.destinations)", p.Name, cluster))
		case !p.Destination(cluster, namespace):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the namespace %s (spec.destinations)", p.Name, namespace))
		case !kind:
			all = append(all, fmt.Sprintf("Project %s doesn't allow the kind %s (%s)", p.Name, item.Kind.Kind, list))
		default:
			return ""
		}
	}
	return strings.Join(all, "; ")
}
