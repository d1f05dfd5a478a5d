package sync

import (
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestTheLastWordsAreThoseOfTheLatestEvent(t *testing.T) {
	event := func(message string, times map[string]any) unstructured.Unstructured {
		object := map[string]any{"reason": "FailedCreate", "message": message, "metadata": map[string]any{"creationTimestamp": "2026-11-26T10:00:00Z"}}
		maps.Copy(object, times)
		return unstructured.Unstructured{Object: object}
	}
	first := event("first", map[string]any{"lastTimestamp": "2026-11-26T10:01:00Z"})
	again := event("again", map[string]any{"eventTime": "2026-11-26T10:00:30.000000Z", "series": map[string]any{"lastObservedTime": "2026-11-26T10:05:00.000000Z"}})
	for name, tt := range map[string]struct {
		all  []unstructured.Unstructured
		want string
	}{
		"none":        {nil, ""},
		"one":         {[]unstructured.Unstructured{first}, "FailedCreate: first"},
		"a series":    {[]unstructured.Unstructured{again, first}, "FailedCreate: again"},
		"its making":  {[]unstructured.Unstructured{first, event("older", nil)}, "FailedCreate: first"},
		"lines":       {[]unstructured.Unstructured{event("a\n  b\tc", nil)}, "FailedCreate: a b c"},
		"a long one":  {[]unstructured.Unstructured{event(strings.Repeat("ä", 400), nil)}, "FailedCreate: " + strings.Repeat("ä", 143) + " …"},
		"not even so": {[]unstructured.Unstructured{{Object: map[string]any{"reason": 7}}}, ":"},
	} {
		if got := lastOf(tt.all); got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
