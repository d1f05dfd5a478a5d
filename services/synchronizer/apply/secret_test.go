package apply

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestASecretsTextIsSentAsData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, version, given, want string }{
		"text":                  {"Secret", "v1", `{"stringData":{"a":"x"}}`, `{"data":{"a":"eA=="}}`},
		"data alone":            {"Secret", "v1", `{"data":{"a":"eA=="}}`, `{"data":{"a":"eA=="}}`},
		"both":                  {"Secret", "v1", `{"data":{"b":"eQ=="},"stringData":{"a":"x"}}`, `{"data":{"a":"eA==","b":"eQ=="}}`},
		"the text wins":         {"Secret", "v1", `{"data":{"a":"eQ=="},"stringData":{"a":"x"}}`, `{"data":{"a":"eA=="}}`},
		"no text":               {"Secret", "v1", `{"data":null,"stringData":{}}`, `{"data":{}}`},
		"a number":              {"Secret", "v1", `{"stringData":{"a":"x","n":1}}`, `{"stringData":{"a":"x","n":1}}`},
		"data that is none":     {"Secret", "v1", `{"data":"x","stringData":{"a":"x"}}`, `{"data":"x","stringData":{"a":"x"}}`},
		"text that is none":     {"Secret", "v1", `{"stringData":"x"}`, `{"stringData":"x"}`},
		"another kind":          {"ConfigMap", "v1", `{"stringData":{"a":"x"}}`, `{"stringData":{"a":"x"}}`},
		"another group's":       {"Secret", "example.com/v1", `{"stringData":{"a":"x"}}`, `{"stringData":{"a":"x"}}`},
		"an empty text is data": {"Secret", "v1", `{"stringData":{"a":""}}`, `{"data":{"a":""}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &unstructured.Unstructured{}
			if err := json.Unmarshal([]byte(c.given), &u.Object); err != nil {
				t.Fatal(err)
			}
			u.SetAPIVersion(c.version)
			u.SetKind(c.kind)
			item := &Item{Kind: u.GroupVersionKind(), Object: u}
			item.leave([]api.Ignore{{Kind: c.kind, Paths: []string{"/stringData/a"}}})
			item.encode()
			delete(u.Object, "apiVersion")
			delete(u.Object, "kind")
			got, err := json.Marshal(u.Object)
			if err != nil || string(got) != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
			if core := c.kind == "Secret" && c.version == "v1"; (item.left[0][0] == "data") != core {
				t.Errorf("%v is left to others", item.left)
			}
		})
	}
}
