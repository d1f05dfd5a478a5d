package health

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
)

// maxContent is how much is kept of one object for the rules of users, in
// bytes of JSON. It bounds the memory of a watch: its objects times this.
const maxContent = 16 << 10

// mostLeft is how many of the fields that were left out are named.
const mostLeft = 5

// content is what is kept of a custom object for the rules of users. Those
// are an Application's and may change at any time, while the watch is shared
// and has let go of the object: so its fields are kept, and judged when
// somebody asks.
type content struct {
	json []byte
	// left are the fields that were too large, such as "status.nodes".
	left []string
}

// field is one field of an object's part.
type field struct {
	part, name string
	value      json.RawMessage
}

// keep takes as many fields as fit: of the status the small ones first, then
// of spec and metadata.
func keep(o *unstructured.Unstructured) *content {
	parts := map[string]map[string]json.RawMessage{}
	var left []string
	size := 0
	for _, part := range []string{"status", "spec", "metadata"} {
		for _, f := range fields(o, part) {
			if size += len(f.name) + len(f.value) + len(`"":,`); size > maxContent {
				size -= len(f.name) + len(f.value) + len(`"":,`)
				left = append(left, part+"."+f.name)
				continue
			}
			if parts[part] == nil {
				parts[part] = map[string]json.RawMessage{}
			}
			parts[part][f.name] = f.value
		}
	}
	whole := map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind()}
	for part, values := range parts {
		whole[part] = values
	}
	data, err := json.Marshal(whole)
	if err != nil {
		return &content{left: []string{"all"}} // it came as JSON
	}
	return &content{data, left}
}

// fields are those of a part in the order of their size. A part that is no
// mapping has none.
func fields(o *unstructured.Unstructured, part string) []field {
	values, _ := o.Object[part].(map[string]any)
	all := make([]field, 0, len(values))
	for name, value := range values {
		if part == "metadata" && name == "managedFields" {
			continue
		}
		data, err := json.Marshal(value)
		if err != nil {
			continue // it came as JSON
		}
		all = append(all, field{part, name, data})
	}
	slices.SortFunc(all, func(a, b field) int {
		return cmp.Or(cmp.Compare(len(a.value), len(b.value)), strings.Compare(a.name, b.name))
	})
	return all
}

// object is what was kept.
func (c *content) object() (map[string]any, error) {
	var u unstructured.Unstructured // for its whole numbers
	if err := u.UnmarshalJSON(c.json); err != nil {
		return nil, err
	}
	return u.Object, nil
}

// by judges by a user's rule.
func (s *Seen) by(r *rule.Rule, deadline time.Time) (status.Status, string) {
	if s.content == nil {
		return status.InProgressStatus, "its rule can't be asked: the object no longer says whose it is"
	}
	object, err := s.content.object()
	if err != nil {
		return status.UnknownStatus, "read what was kept of it: " + err.Error()
	}
	state, message := r.Judge(object, deadline)
	if state == status.InProgressStatus && len(s.content.left) > 0 {
		left := s.content.left
		if len(left) > mostLeft {
			left = append(left[:mostLeft:mostLeft], "…")
		}
		message += fmt.Sprintf(" (of the object only %d KiB are looked at, without %s)", maxContent>>10, strings.Join(left, ", "))
	}
	return state, message
}
