package apply

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const someCertificate = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUadF2IPc10HJSEU3QlQ8qKSdVU4QwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHaGFyYm91cjAgFw0yNjExMjcwODI1NTFaGA8yMDgxMDgzMDA4
MjU1MVowEjEQMA4GA1UEAwwHaGFyYm91cjBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABITZWPP0qk33m1KJH+dPN5wR5R65UmnSItYKrpL/mEjT9FokqTXvCFDIjkaZ
4EVZf1Zf7w1k1TffO9XqlPVcQgSjUzBRMB0GA1UdDgQWBBQ/3yaczEyi8I2wSJa8
rGVdMlagVTAfBgNVHSMEGDAWgBQ/3yaczEyi8I2wSJa8rGVdMlagVTAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIEiVv36RFIDD7dnL4v+DB6LdaJI7
kV5vteEQ7QkVU8wpAiEA8wiwx75IN6vhbQKWhnObTzw9K0xDQdKGvZ69It/ZPK4=
-----END CERTIFICATE-----
`

func TestPlaceholdersOfCertificatesAreLeftToTheirInjector(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":"Cg==","url":"u"}}}}}`:                               `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"conversion":{"webhook":{"clientConfig":{"url":"u"}}}}}`,
		`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","spec":{"conversion":{"strategy":"None"}}}`:                                                                      "",
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","webhooks":[{"clientConfig":{"caBundle":"Q0EgZ29lcyBoZXJl"}},{"clientConfig":{"caBundle":"CERT"}}]}`: `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","webhooks":[{"clientConfig":{}},{"clientConfig":{"caBundle":"CERT"}}]}`,
		`{"apiVersion":"admissionregistration.k8s.io/v1beta1","kind":"ValidatingWebhookConfiguration","webhooks":[{"clientConfig":{"caBundle":""}},"odd"]}`:                                         `{"apiVersion":"admissionregistration.k8s.io/v1beta1","kind":"ValidatingWebhookConfiguration","webhooks":[{"clientConfig":{}},"odd"]}`,
		`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"caBundle":"Cg==","group":"g"}}`:                                                                                     `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"group":"g"}}`,
		`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"caBundle":"no base64"}}`:                                                                                            "",
		`{"apiVersion":"example.com/v1","kind":"APIService","spec":{"caBundle":"Cg=="}}`:                                                                                                            "",
		`{"apiVersion":"v1","kind":"ConfigMap"}`: "",
	} {
		if want == "" {
			want = text
		}
		fill := func(s string) map[string]any {
			var m map[string]any
			if err := json.Unmarshal([]byte(s), &m); err != nil {
				t.Fatal(err)
			}
			hooks, _ := m["webhooks"].([]any)
			for _, h := range hooks {
				hook, _ := h.(map[string]any)
				if c, _ := hook["clientConfig"].(map[string]any); c["caBundle"] == "CERT" {
					c["caBundle"] = base64.StdEncoding.EncodeToString([]byte(someCertificate))
				}
			}
			return m
		}
		u := &unstructured.Unstructured{Object: fill(text)}
		withoutPlaceholders(u)
		got, _ := json.Marshal(u.Object)
		wanted, _ := json.Marshal(fill(want))
		if string(got) != string(wanted) {
			t.Errorf("%s: it is\n%s\nwant\n%s", text, got, wanted)
		}
	}
}
