package diff

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// masks stand for the values of secrets: equal values have the same, others
// another, and none can be turned back.
type masks struct{ known map[string]string }

func newMasks() *masks { return &masks{known: map[string]string{}} }

func (m *masks) of(value string) string {
	mask, ok := m.known[value]
	if !ok {
		mask = fmt.Sprintf("*** (value %d)", len(m.known)+1)
		m.known[value] = mask
	}
	return mask
}

func isSecret(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Secret" && o.GroupVersionKind().Group == ""
}

// hide masks the values of a Secret in place.
func (m *masks) hide(o *unstructured.Unstructured) {
	if !isSecret(o) {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		values, ok := o.Object[field].(map[string]any)
		if !ok {
			if whole, there := o.Object[field]; there && whole != nil {
				o.Object[field] = m.of(fmt.Sprint(whole))
			}
			continue
		}
		masked := make(map[string]any, len(values))
		for _, key := range slices.Sorted(maps.Keys(values)) {
			masked[key] = m.of(plainly(field, values[key]))
		}
		o.Object[field] = masked
	}
}

// plainly is a value as its reader sees it, so that data and stringData of one
// value are equal.
func plainly(field string, value any) string {
	text, ok := value.(string)
	if !ok {
		return fmt.Sprint(value)
	}
	if field == "data" {
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			return string(decoded)
		}
	}
	return text
}

// tells says whether a text holds a value of a Secret, in either form.
func tells(o *unstructured.Unstructured, text string) bool {
	if !isSecret(o) {
		return false
	}
	for _, field := range []string{"data", "stringData"} {
		values, ok := o.Object[field].(map[string]any)
		if !ok && o.Object[field] != nil {
			return true
		}
		for _, value := range values {
			for _, form := range []string{fmt.Sprint(value), plainly(field, value)} {
				if form != "" && strings.Contains(text, form) {
					return true
				}
			}
		}
	}
	return false
}
