package apply

import (
	"encoding/json"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/shared/api"
)

func managed(manager string, operation metav1.ManagedFieldsOperationType, text string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(text)}
}

func TestAFieldIsLeftToWhoeverElseHasIt(t *testing.T) {
	t.Parallel()
	replicas := `{"f:spec":{"f:replicas":{}}}`
	for name, c := range map[string]struct {
		managed []metav1.ManagedFieldsEntry
		pointer string
		want    bool
	}{
		"an autoscaler has it":  {[]metav1.ManagedFieldsEntry{managed("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, replicas)}, "/spec/replicas", true},
		"we alone":              {[]metav1.ManagedFieldsEntry{managed("slipway", metav1.ManagedFieldsOperationApply, replicas)}, "/spec/replicas", false},
		"both":                  {[]metav1.ManagedFieldsEntry{managed("slipway", metav1.ManagedFieldsOperationApply, replicas), managed("kubectl", metav1.ManagedFieldsOperationUpdate, replicas)}, "/spec/replicas", true},
		"another field":         {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:paused":{}}}`)}, "/spec/replicas", false},
		"something below":       {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:data":{"f:a/b":{}}}`)}, "/data", true},
		"a key with a slash":    {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:metadata":{"f:annotations":{"f:a/b~c":{}}}}`)}, "/metadata/annotations/a~1b~0c", true},
		"what can't be read":    {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `[]`)}, "/spec/replicas", false},
		"nobody":                {nil, "/spec/replicas", false},
		"a leaf that is a list": {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:replicas":null}}`)}, "/spec/replicas/x", false},
	} {
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: c.managed}}
		var at []pathStep
		for _, key := range (api.Ignore{Kind: "x", Paths: []string{c.pointer}}).Fields()[0] {
			at = append(at, pathStep{key: key})
		}
		if got := anyHas(setsOf(live), at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Of labels and annotations each is for itself, and the one by which an object is known
// to be its application's is always sent.
func TestLabelsAreLeftOneByOne(t *testing.T) {
	t.Parallel()
	var object any
	if err := json.Unmarshal([]byte(`{"metadata":{"annotations":{"ours":"1","theirs":"2","slipway.dev/owner":"c/n/a"}}}`), &object); err != nil {
		t.Fatal(err)
	}
	live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:metadata":{"f:annotations":{".":{},"f:theirs":{},"f:slipway.dev/owner":{}}}}`),
	}}}
	field := api.Ignore{Kind: "x", Paths: []string{"/metadata/annotations/*"}}.Fields()[0]
	if got := asJSON(left(object, setsOf(live), field)); got != `{"metadata":{"annotations":{"ours":"1","slipway.dev/owner":"c/n/a"}}}` {
		t.Error(got)
	}
}

// What others have of a list's entries is known by the keys of its kind, which Git may
// leave to their default.
func TestAFieldOfAListIsLeftToWhoeverElseHasIt(t *testing.T) {
	t.Parallel()
	object := `{"spec":{"containers":[{"name":"web","image":"a:1","args":["x"],"ports":[{"containerPort":80,"name":"http"}]},{"name":"side","image":"b:1"}],"finalizers":["a/b","c"],"atomic":[{"a":1,"b":2}]}}`
	others := `{"f:spec":{"f:containers":{` +
		`"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{"f:name":{},"f:containerPort":{}}}},` +
		`"k:{\"name\":\"other\"}":{"f:image":{}}},"f:finalizers":{"v:\"c\"":{}},"f:atomic":{}}}`
	const web, side = `{"name":"web","image":"a:1","args":["x"],"ports":[{"containerPort":80,"name":"http"}]}`, `{"name":"side","image":"b:1"}`
	all := func(containers, rest string) string {
		return `{"spec":{"containers":[` + containers + `],` + rest + `}}`
	}
	const rest = `"finalizers":["a/b","c"],"atomic":[{"a":1,"b":2}]`
	const bare = `{"name":"web","args":["x"],"ports":[{"containerPort":80,"name":"http"}]}`
	for pointer, want := range map[string]string{
		"/spec/containers/0/image":                    all(bare+","+side, rest),
		"/spec/containers/1/image":                    all(web+","+side, rest), // nobody else has it
		"/spec/containers/*/image":                    all(bare+","+side, rest),
		"/spec/containers/[name=web]/image":           all(bare+","+side, rest),
		"/spec/containers/[name=side]/image":          all(web+","+side, rest),
		"/spec/containers/[image=a:1]/image":          all(bare+","+side, rest),
		"/spec/containers/[name=web]/args":            all(web+","+side, rest),
		"/spec/containers/[name=web]/name":            all(web+","+side, rest), // an entry is known by it
		"/spec/containers/*/ports/*/name":             all(`{"name":"web","image":"a:1","args":["x"],"ports":[{"containerPort":80}]},`+side, rest),
		"/spec/containers/*/ports/[containerPort=80]": all(`{"name":"web","image":"a:1","args":["x"],"ports":[]},`+side, rest),
		"/spec/containers/*":                          all(side, rest),
		"/spec/finalizers/*":                          all(web+","+side, `"finalizers":["a/b"],"atomic":[{"a":1,"b":2}]`),
		"/spec/atomic/0/a":                            all(web+","+side, rest), // others have the list as one
		"/spec/atomic":                                all(web+","+side, `"finalizers":["a/b","c"]`),
		"/spec/containers/7/image":                    all(web+","+side, rest),
		"/spec/containers/[nothing=web]/image":        all(web+","+side, rest),
		"/spec/containers/image":                      all(web+","+side, rest),
	} {
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, others)}}}
		var given any
		if err := json.Unmarshal([]byte(object), &given); err != nil {
			t.Fatal(err)
		}
		for _, field := range (api.Ignore{Kind: "x", Paths: []string{pointer}}).Fields() {
			given = left(given, setsOf(live), field)
		}
		var expected any
		if err := json.Unmarshal([]byte(want), &expected); err != nil {
			t.Fatal(err)
		}
		if asJSON(given) != asJSON(expected) {
			t.Errorf("%s: %s, not %s", pointer, asJSON(given), asJSON(expected))
		}
	}
}

// What a manager has is left to it, field by field: what only others have, or nobody, is sent.
func TestWhatAManagerHasIsLeftToIt(t *testing.T) {
	t.Parallel()
	const object = `{"metadata":{"annotations":{"slipway.dev/owner":"c/n/a","note":"x"}},"spec":{"replicas":1,"paused":true,"containers":[{"name":"web","image":"a:1","ports":[{"containerPort":80,"name":"http"}]},{"name":"side","image":"b:1"}],"finalizers":["a","b","c"],"rules":[{"a":1}]}}`
	sets := []metav1.ManagedFieldsEntry{
		managed("scaler", metav1.ManagedFieldsOperationUpdate, `{"f:metadata":{"f:annotations":{".":{},"f:slipway.dev/owner":{},"f:note":{}}},"f:spec":{"f:replicas":{},"f:minimum":{}}}`),
		managed("tuner", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{"f:containerPort":{},"f:name":{}}}}},"f:finalizers":{"v:\"a\"":{},"v:\"c\"":{}},"f:rules":{}}}`),
		managed("slipway", metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:paused":{}}}`),
	}
	for managers, want := range map[string]string{
		"scaler":  `{"metadata":{"annotations":{"slipway.dev/owner":"c/n/a"}},"spec":{"paused":true,"containers":[{"name":"web","image":"a:1","ports":[{"containerPort":80,"name":"http"}]},{"name":"side","image":"b:1"}],"finalizers":["a","b","c"],"rules":[{"a":1}]}}`,
		"tuner":   `{"metadata":{"annotations":{"slipway.dev/owner":"c/n/a","note":"x"}},"spec":{"replicas":1,"paused":true,"containers":[{"name":"web","ports":[{"containerPort":80}]},{"name":"side","image":"b:1"}],"finalizers":["b"]}}`,
		"slipway": object,
		"nobody":  object,
	} {
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: sets}}
		var given, expected any
		if err := errors.Join(json.Unmarshal([]byte(object), &given), json.Unmarshal([]byte(want), &expected)); err != nil {
			t.Fatal(err)
		}
		if got := asJSON(leftTo(given, setsOf(live), []string{managers})); got != asJSON(expected) {
			t.Errorf("%s: %s, not %s", managers, got, asJSON(expected))
		}
	}
}
