package sync

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
)

// podPaths are where a workload keeps its pod's specification.
var podPaths = [][]string{{"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}, {"spec"}}

// images are the whole references of all containers, written out, sorted.
func images(items []*apply.Item, aliases events.Aliases) []string {
	var all []string
	for _, item := range items {
		for _, path := range podPaths {
			for _, list := range []string{"containers", "initContainers"} {
				containers, _, _ := unstructured.NestedFieldNoCopy(item.Object.Object, append(slices.Clone(path), list)...)
				all = append(all, imagesOf(containers, aliases)...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func imagesOf(containers any, aliases events.Aliases) []string {
	var all []string
	list, _ := containers.([]any)
	for _, c := range list {
		container, _ := c.(map[string]any)
		name, _ := container["image"].(string)
		if image, err := events.ParseImage(name, aliases); err == nil {
			all = append(all, image.String())
		}
	}
	return all
}

// move is what became of one image of an application.
type move struct {
	kind  events.Type
	image events.Image
}

// moves compares the images with those of the last good sync, and with older
// ones: an image that ran before the last one is a rollback.
func moves(now []string, history []api.HistoryEntry) []move {
	var good [][]string
	for _, h := range history {
		if h.Outcome == api.OutcomeHealthy || h.Outcome == api.OutcomeApplied {
			good = append(good, h.Images)
		}
	}
	var last []string
	if len(good) > 0 {
		last = good[0]
	}
	var found []move
	for _, ref := range now {
		image, err := events.ParseImage(ref, nil)
		if err != nil || slices.Contains(last, ref) {
			continue
		}
		kind := events.ServiceDeployedType
		if hasRepository(last, image) {
			kind = events.ServiceUpgradedType
			if len(good) > 1 && slices.ContainsFunc(good[1:], func(older []string) bool { return slices.Contains(older, ref) }) {
				kind = events.ServiceRolledBackType
			}
		}
		found = append(found, move{kind, image})
	}
	for _, ref := range last {
		if image, err := events.ParseImage(ref, nil); err == nil && !hasRepository(now, image) {
			found = append(found, move{events.ServiceRemovedType, image})
		}
	}
	return found
}

func hasRepository(refs []string, image events.Image) bool {
	return slices.ContainsFunc(refs, func(ref string) bool {
		other, err := events.ParseImage(ref, nil)
		return err == nil && other.Repository == image.Repository
	})
}
