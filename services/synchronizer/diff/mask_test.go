package diff

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func secret(fields map[string]any) *unstructured.Unstructured {
	o := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}}
	maps.Copy(o, fields)
	return &unstructured.Unstructured{Object: o}
}

func TestASecretsValuesAreToldApartAndNotShown(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte("swordfish"))
	m := newMasks()
	first := secret(map[string]any{"data": map[string]any{"a": encoded, "b": "bWFybGlu", "c": "not base64!"}})
	second := secret(map[string]any{"stringData": map[string]any{"a": "swordfish", "b": "herring", "n": int64(48151623)}})
	first.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"data":{"a":"` + encoded + `"}}`})
	texts := string(text(first, m)) + string(text(second, m))
	for _, hidden := range []string{"swordfish", encoded, "bWFybGlu", "marlin", "not base64", "herring", "48151623"} {
		if strings.Contains(texts, hidden) {
			t.Errorf("%q is shown:\n%s", hidden, texts)
		}
	}
	if n := strings.Count(texts, "a: '*** (value 1)'"); n != 2 {
		t.Errorf("equal values are not told to be equal:\n%s", texts)
	}
	if strings.Count(texts, "value 2") != 1 || strings.Count(texts, "value 4") != 1 {
		t.Errorf("different values are not told apart:\n%s", texts)
	}
	for _, whole := range []any{"swordfish", []any{"swordfish"}, nil} {
		if got := string(text(secret(map[string]any{"data": whole}), m)); strings.Contains(got, "swordfish") {
			t.Errorf("data that is no mapping is shown:\n%s", got)
		}
	}
}

func TestAnErrorThatHoldsASecretIsKnown(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"expected string, got 48151623":  true,
		"Invalid value: \"c3dvcmQ=\"":    true,
		"Invalid value: \"sword\"":       true,
		"secrets \"s\" is forbidden: no": false,
	} {
		o := secret(map[string]any{"data": map[string]any{"a": "c3dvcmQ="}, "stringData": map[string]any{"n": int64(48151623), "empty": ""}})
		if got := tells(o, message); got != want {
			t.Errorf("%s: %v", message, got)
		}
		o.SetKind("ConfigMap")
		if tells(o, message) {
			t.Errorf("%s: a ConfigMap is no secret", message)
		}
	}
}
